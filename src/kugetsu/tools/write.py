"""The tool that makes files."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kugetsu.protocols import ToolContext, ToolKind, ToolOutput
from kugetsu.tools.decoding import UTF_8, encode, showable
from kugetsu.tools.failures import explained
from kugetsu.tools.paths import ensure_unmoved, locate_for_writing, show
from kugetsu.tools.replacing import replace_file
from kugetsu.tools.truncation import split_lines


class WriteArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which file, and what it shall hold."""

    path: Annotated[str, Meta(description="File to write, relative to the workspace root or absolute.")]
    content: Annotated[str, Meta(description="The whole new content.")]


class WriteTool:
    """Writes a whole file."""

    name: Final = "write"
    description: Final = (
        "Write a whole file in UTF-8: makes it and its parent directories, or replaces all of its content. "
        "Use it for new files and complete rewrites; use edit to change a part."
    )
    arguments = WriteArguments
    kind: Final[ToolKind] = "write"

    def __init__(self, *, confine: bool) -> None:
        self._confine = confine

    async def run(self, arguments: WriteArguments, context: ToolContext) -> ToolOutput:
        """Replace the file in one step that no cancel can cut.

        Raises:
            ToolError: it is outside, belongs to git, is no regular file, or cannot be written.
        """
        path = locate_for_writing(arguments.path, context, confine=self._confine)
        data = encode(arguments.content, UTF_8, showable(arguments.path))
        async with context.locks.hold(path):
            ensure_unmoved(path, arguments.path, context, confine=self._confine)
            with explained("write", showable(arguments.path)):
                existed = path.exists()
                replace_file(path, data)
        done = "Replaced" if existed else "Created"
        lines = len(split_lines(arguments.content))
        return ToolOutput.of(f"{done} {show(path, context)}: {_count(lines, 'line')}, {_count(len(data), 'byte')}.")


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}{'' if number == 1 else 's'}"
