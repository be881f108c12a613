"""The tool that changes parts of files."""

import asyncio
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kugetsu.errors import ToolError
from kugetsu.protocols import ToolContext, ToolKind, ToolOutput
from kugetsu.tools.decoding import decode_exactly, encode, showable
from kugetsu.tools.failures import explained
from kugetsu.tools.matching import Edited, Replacement, apply_edits
from kugetsu.tools.paths import ensure_unmoved, locate_for_writing, missing, show
from kugetsu.tools.replacing import replace_file
from kugetsu.tools.truncation import show_size

_LARGEST_BYTES: Final = 8 * 1024 * 1024
"""Largest file that is edited, since it is held in memory several times."""

_AT_ONCE_BYTES: Final = 128 * 1024
"""Files up to this size are edited without a thread: about three milliseconds."""


class Edit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """One replacement."""

    old_text: Annotated[
        str,
        Meta(
            description="Exact text to replace, with its whitespace. Must occur exactly once in the file: "
            "add surrounding lines where it would not, but keep it short."
        ),
    ]
    new_text: Annotated[str, Meta(description="Text to put in its place; empty to delete.")]


class EditArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Which file, and what to replace in it."""

    path: Annotated[str, Meta(description="File to change, relative to the workspace root or absolute.")]
    edits: Annotated[
        tuple[Edit, ...],
        Meta(description="Replacements, all matched against the file as it is now; they must not overlap."),
    ] = ()
    old_text: Annotated[str | None, Meta(description="With newText instead of `edits`, for one replacement.")] = None
    new_text: str | None = None

    def __post_init__(self) -> None:
        alone = self.old_text is not None and self.new_text is not None
        partly = self.old_text is not None or self.new_text is not None
        if bool(self.edits) == alone or (self.edits and partly):
            raise ValueError("give `edits` with at least one {oldText, newText}, or else both oldText and newText")

    @property
    def replacements(self) -> tuple[Replacement, ...]:
        """All edits, whichever way they were given."""
        if self.old_text is not None and self.new_text is not None:
            return (Replacement(self.old_text, self.new_text),)
        return tuple(Replacement(edit.old_text, edit.new_text) for edit in self.edits)


class EditTool:
    """Replaces texts in a file."""

    name: Final = "edit"
    description: Final = (
        "Change a text file by replacing exact texts. Every oldText must occur exactly once in the file and none may "
        "overlap another; either all edits are made or none. Read the file first. "
        "Put several changes of one file into one call."
    )
    arguments = EditArguments
    kind: Final[ToolKind] = "write"

    def __init__(self, *, confine: bool) -> None:
        self._confine = confine

    async def run(self, arguments: EditArguments, context: ToolContext) -> ToolOutput:
        """Make all replacements, or none; the file is replaced in one step that no cancel can cut.

        Raises:
            ToolError: the file is missing, outside, binary or too large, or an edit does not fit it.
        """
        path = locate_for_writing(arguments.path, context, confine=self._confine)
        name = showable(arguments.path)
        async with context.locks.hold(path):
            ensure_unmoved(path, arguments.path, context, confine=self._confine)
            if _size(name, path) <= _AT_ONCE_BYTES:
                data, edited = _edit(path, arguments.replacements, name)
            else:
                data, edited = await asyncio.to_thread(_edit, path, arguments.replacements, name)
                ensure_unmoved(path, arguments.path, context, confine=self._confine)
            with explained("write", name):
                replace_file(path, data)
        return ToolOutput.of(_summary(show(path, context), len(arguments.replacements), edited))


def _size(name: str, path: Path) -> int:
    with explained("edit", name):
        try:
            status = path.stat()
        except FileNotFoundError:
            raise missing(name, path) from None
    if not stat.S_ISREG(status.st_mode):
        raise ToolError(f"{name} is not a regular file")
    if status.st_size > _LARGEST_BYTES:
        raise ToolError(
            f"{name} has {show_size(status.st_size)}, above the {show_size(_LARGEST_BYTES)} that can be edited",
            fix="change it with bash, for example sed -i",
        )
    return status.st_size


def _edit(path: Path, replacements: Sequence[Replacement], name: str) -> tuple[bytes, Edited]:
    """The file's new bytes. Changes nothing, so a thread that does it may outlive a cancelled call."""
    with explained("read", name), os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        data = file.read()
    text, encoding = decode_exactly(data, name)
    edited = apply_edits(text, replacements, name)
    return encode(edited.content, encoding, name), edited


def _summary(name: str, count: int, edited: Edited) -> str:
    spans = ", ".join(_span(first, last) for first, last in edited.spans)
    made = f"Edited {name}: {count} replacement{'' if count == 1 else 's'}, now {spans}."
    if not edited.folded:
        return made
    return (
        f"{made} An oldText matched only after ignoring blanks at line ends and the kind of quotes, dashes and spaces; "
        "the changed lines are written in plain ones now."
    )


def _span(first: int, last: int) -> str:
    if last < first:
        return f"nothing before line {first}"
    return f"line {first}" if first == last else f"lines {first}-{last}"
