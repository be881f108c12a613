"""The tool that lists a directory."""

import asyncio
import os
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kugetsu.errors import ToolError
from kugetsu.protocols import ToolContext, ToolKind, ToolOutput
from kugetsu.tools.decoding import showable
from kugetsu.tools.failures import explained
from kugetsu.tools.paths import locate, missing, show_name
from kugetsu.tools.truncation import BYTES_NOTICE, annotate, truncate_head

_LIMIT: Final = 500


class LsArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which directory."""

    path: Annotated[str | None, Meta(description="Directory to list. Default: the workspace root.")] = None
    limit: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description=f"Most entries to show. Default {_LIMIT}.")
    ] = None


class LsTool:
    """Lists a directory."""

    name: Final = "ls"
    description: Final = (
        "List the entries of one directory in alphabetical order, dot files included; directories end in `/`. "
        f"Shows up to {_LIMIT} entries unless `limit` says otherwise."
    )
    arguments = LsArguments
    kind: Final[ToolKind] = "read"

    def __init__(self, *, confine: bool) -> None:
        self._confine = confine

    async def run(self, arguments: LsArguments, context: ToolContext) -> ToolOutput:
        """List the directory in a thread, since it may be of any size.

        Raises:
            ToolError: it is missing, outside, no directory or cannot be read.
        """
        name = arguments.path or "."
        path = locate(name, context, confine=self._confine)
        with explained("list", showable(name)):
            if not path.exists():
                raise missing(name, path)
            if not path.is_dir():
                raise ToolError(f"{showable(name)} is not a directory", fix="use read")
            names = await asyncio.to_thread(_names, path)
        return ToolOutput.of(_listing(names, arguments.limit or _LIMIT))


def _names(path: Path) -> list[str]:
    with os.scandir(path) as entries:
        names = [show_name(entry.name) + ("/" if _is_directory(entry) else "") for entry in entries]
    return sorted(names, key=lambda name: (name.casefold(), name))


def _is_directory(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a directory or leads to one; a link that cannot be followed leads to nothing."""
    try:
        return entry.is_dir(follow_symlinks=False) or (entry.is_symlink() and Path(entry).is_dir())
    except OSError:
        return False


def _listing(names: list[str], limit: int) -> str:
    if not names:
        return "(empty directory)"
    text = truncate_head("\n".join(names[:limit]), max_lines=limit)
    notices = []
    if len(names) > limit:
        notices.append(f"{limit} of {len(names)} entries shown. Use limit={len(names)} for all")
    if text.cut:
        notices.append(BYTES_NOTICE)
    return annotate(text.content, notices)
