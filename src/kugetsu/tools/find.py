"""The tool that finds files by name."""

import asyncio
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kugetsu.errors import ToolError
from kugetsu.protocols import ToolContext, ToolKind, ToolOutput
from kugetsu.tools.decoding import showable
from kugetsu.tools.failures import explained
from kugetsu.tools.globbing import Glob
from kugetsu.tools.listing import INCOMPLETE, Listing, is_file_or_link, list_files
from kugetsu.tools.paths import locate, missing, prefix, show_name
from kugetsu.tools.truncation import BYTES_NOTICE, annotate, truncate_head

_LIMIT: Final = 1000


class FindArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which files."""

    pattern: Annotated[
        str, Meta(description="Glob: `*.py` matches names at any depth, `src/**/*.ts` paths, `*.{c,h}` either.")
    ]
    path: Annotated[str | None, Meta(description="Directory to search. Default: the workspace root.")] = None
    limit: Annotated[Annotated[int, Meta(ge=1)] | None, Meta(description=f"Most files to show. Default {_LIMIT}.")] = (
        None
    )


class FindTool:
    """Finds files by name."""

    name: Final = "find"
    description: Final = (
        "Find files by glob pattern, hidden ones included; what .gitignore excludes is left out unless `path` names it. "
        "Shows sorted paths relative to the workspace root, no directories. "
        "A pattern without capital letters matches either case."
    )
    arguments = FindArguments
    kind: Final[ToolKind] = "read"

    def __init__(self, *, confine: bool) -> None:
        self._confine = confine

    async def run(self, arguments: FindArguments, context: ToolContext) -> ToolOutput:
        """List and match.

        Raises:
            ToolError: the directory is missing or outside, or the pattern is no glob.
        """
        name = arguments.path or "."
        glob = Glob(_relative(arguments.pattern, context), fold_case=arguments.pattern.islower())
        base = locate(name, context, confine=self._confine)
        with explained("search", showable(name)):
            if not base.exists():
                raise missing(name, base)
            if not base.is_dir():
                raise ToolError(f"{showable(name)} is not a directory", fix="use ls or read")
            listing = await list_files(base, context)
        return await asyncio.to_thread(_found, listing, glob, arguments.limit or _LIMIT, context)


def _relative(pattern: str, context: ToolContext) -> str:
    """A pattern without the workspace's own path before it."""
    root = f"{context.root}/"
    return f"/{pattern.removeprefix(root)}" if pattern.startswith(root) else pattern


def _found(listing: Listing, glob: Glob, limit: int, context: ToolContext) -> ToolOutput:
    paths: list[str] = []
    for path in listing.paths:
        if glob.matches(path) and is_file_or_link(listing.base / path):
            paths.append(path)
            if len(paths) > limit:
                break
    before = prefix(listing.base, context)
    text = truncate_head("\n".join(before + show_name(path) for path in paths[:limit]), max_lines=limit)
    notices = []
    if len(paths) > limit:
        notices.append(f"{limit} results limit reached. Use limit={limit * 2} for more, or refine the pattern")
    if text.cut:
        notices.append(BYTES_NOTICE)
    if not listing.complete:
        notices.append(INCOMPLETE)
    return ToolOutput.of(annotate(text.content or "No files found matching pattern", notices))
