"""The tool that shows again what an old call gave."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kugetsu.errors import RecordError, ToolError
from kugetsu.messages import Image
from kugetsu.protocols import ToolContext, ToolKind, ToolOutput
from kugetsu.tools.truncation import MAX_BYTES, MAX_LINES, split_lines, truncate_head


class RecallArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which call, and which lines of what it gave."""

    call: Annotated[str, Meta(description="Id of the call, as the note says.")]
    offset: Annotated[
        Annotated[int, Meta(ge=0)] | None, Meta(description="First line to show, counted from 1. Default 1.")
    ] = None
    limit: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description=f"Most lines to show. Default and maximum {MAX_LINES}.")
    ] = None


class RecallTool:
    """Shows the result of an earlier call as it was, when only a note of it is left in the conversation."""

    name: Final = "recall"
    description: Final = (
        "Show an old output again that was pruned from this conversation: a note in its place names the call. It is what the "
        "call gave then; to see how a file is now, read it. Lines from `offset`, up to "
        f"{MAX_LINES} lines or {MAX_BYTES // 1024}KB."
    )
    arguments = RecallArguments
    kind: Final[ToolKind] = "read"

    async def run(self, arguments: RecallArguments, context: ToolContext) -> ToolOutput:
        """Look the result up.

        Raises:
            ToolError: there is none, or it ends before `offset`.
        """
        try:
            result = await context.recall(arguments.call)
        except RecordError as error:
            raise ToolError(f"What the call {arguments.call!r} gave cannot be read: {error}") from error
        if result is None:
            raise ToolError(f"There is no result of a call {arguments.call!r} in this conversation")
        if any(isinstance(block, Image) for block in result.content):
            return ToolOutput(result.content)
        return ToolOutput.of(_lines(result.text, max(1, arguments.offset or 1), arguments.limit or MAX_LINES))


def _lines(text: str, first: int, most: int) -> str:
    lines = split_lines(text)
    if first > max(1, len(lines)):
        raise ToolError(f"Offset {first} is beyond the end of the result ({len(lines)} lines)")
    shown = truncate_head("\n".join(lines[first - 1 :]), min(most, MAX_LINES))
    if shown.first_too_long:
        return (
            f"{lines[first - 1][:MAX_BYTES]}\n\n[Line {first} is longer than this. Use offset={first + 1} to continue.]"
        )
    last = first + shown.lines - 1
    if last >= len(lines):
        return shown.content
    return f"{shown.content}\n\n[Showing lines {first}-{last} of {len(lines)}. Use offset={last + 1} to continue.]"
