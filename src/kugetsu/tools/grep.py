"""The tool that searches the contents of files."""

import asyncio
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kugetsu.errors import ToolError
from kugetsu.protocols import ToolContext, ToolKind, ToolOutput
from kugetsu.tools.decoding import SAMPLE_BYTES, looks_binary, showable
from kugetsu.tools.engines import Engine, Hit, Query
from kugetsu.tools.excerpts import GROUPS, LINE_CUT, excerpt
from kugetsu.tools.failures import explained
from kugetsu.tools.globbing import Glob
from kugetsu.tools.listing import INCOMPLETE, Listing, is_file, list_files
from kugetsu.tools.paths import locate, missing, prefix, show_name
from kugetsu.tools.truncation import BYTES_NOTICE, annotate, truncate_head

_LIMIT: Final = 100
_MOST_MATCHES: Final = 10_000
_MOST_CONTEXT: Final = 50

_SECONDS: Final = 30.0
"""Time limit of a search."""

_BATCH_FILES: Final = 500
_BATCH_BYTES: Final = 100_000
"""Files, and bytes of their names, of one run: arguments of a command are limited to 2 MB, usually."""


class GrepArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What to search for, and where."""

    pattern: Annotated[str, Meta(description="Regular expression, or plain text with `literal`.")]
    path: Annotated[str | None, Meta(description="File or directory to search. Default: the workspace root.")] = None
    glob: Annotated[str | None, Meta(description="Search only files that match, for example `*.py`.")] = None
    ignore_case: Annotated[bool | None, Meta(description="Upper and lower case are alike. Default false.")] = None
    literal: Annotated[bool | None, Meta(description="The pattern is plain text. Default false.")] = None
    context: Annotated[
        Annotated[int, Meta(ge=0)] | None, Meta(description="Lines to show before and after each match. Default 0.")
    ] = None
    limit: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description=f"Most matches to show. Default {_LIMIT}.")
    ] = None


class GrepTool:
    """Searches the contents of files."""

    name: Final = "grep"
    description: Final = (
        "Search the contents of files, line by line, for a regular expression. Hidden files are searched; binary files "
        "and what .gitignore excludes are not, unless `path` names it. Shows `path:line: text`, sorted, with paths "
        f"relative to the workspace root; up to {_LIMIT} matches, long lines cut."
    )
    arguments = GrepArguments
    kind: Final[ToolKind] = "read"

    def __init__(self, *, confine: bool) -> None:
        self._confine = confine

    async def run(self, arguments: GrepArguments, context: ToolContext) -> ToolOutput:
        """List, search and show.

        Raises:
            ToolError: the pattern or glob cannot be understood, the path is missing or outside, or it takes too long.
        """
        limit = min(arguments.limit or _LIMIT, _MOST_MATCHES)
        query = _query(arguments, limit)
        name = arguments.path or "."
        place = locate(name, context, confine=self._confine)
        with explained("search", showable(name)):
            if _is_directory(place, name):
                listing = await list_files(place, context)
            else:
                listing = Listing(place.parent, [place.name])
            paths = await asyncio.to_thread(_wanted, listing, arguments.glob)
            async with context.room() as room:
                engine = Engine(query, listing.base, context.environment, room)
                found = await _search(engine, paths, listing.base, limit)
            around = min(arguments.context or 0, _MOST_CONTEXT)
            return await asyncio.to_thread(_show, found, limit, around, listing, prefix(listing.base, context))


class _Found(msgspec.Struct):
    """What was found so far."""

    hits: list[Hit]
    binary: int = 0
    complete: bool = True


def _query(arguments: GrepArguments, limit: int) -> Query:
    pattern, literal = arguments.pattern, bool(arguments.literal)
    if not pattern:
        raise ToolError("The pattern is empty", fix="use find or ls to list files")
    if "\0" in pattern:
        raise ToolError("A pattern cannot hold a NUL character")
    simple = pattern if literal else re.sub(r"\\\\|\[\^[^\]]*\]", "", pattern)
    if "\n" in pattern or (not literal and r"\n" in simple):
        raise ToolError("The pattern holds a line break, but lines are searched one by one", fix="search for one line")
    return Query(showable(pattern), literal, bool(arguments.ignore_case), limit + 1)


def _is_directory(place: Path, name: str) -> bool:
    if place.is_dir():
        return True
    if not place.exists():
        raise missing(name, place)
    if not is_file(place):
        raise ToolError(f"{showable(name)} is a pipe, a socket or a device, not a regular file")
    return False


def _wanted(listing: Listing, pattern: str | None) -> list[str]:
    if not pattern:
        return listing.paths
    glob = Glob(pattern)
    return [path for path in listing.paths if glob.matches(path)]


async def _search(engine: Engine, paths: Sequence[str], base: Path, limit: int) -> _Found:
    found = _Found([])
    try:
        async with asyncio.timeout(_SECONDS):
            for batch in _batches(paths, base):
                hits = await engine.search(batch)
                found.complete = found.complete and hits.complete
                await asyncio.to_thread(_add, found, hits.found, base)
                if len(found.hits) > limit:
                    break
    except TimeoutError:
        raise ToolError(
            f"The search took longer than {_SECONDS:g} seconds", fix="search fewer files or for a simpler pattern"
        ) from None
    return found


def _batches(paths: Sequence[str], base: Path) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for path in paths:
        if not is_file(base / path):
            continue
        batch.append(path)
        size += len(path)
        if len(batch) >= _BATCH_FILES or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _add(found: _Found, hits: list[Hit], base: Path) -> None:
    """Keep the matches in text files."""
    for path, group in groupby(hits, key=lambda hit: hit.path):
        try:
            with (base / path).open("rb") as file:
                binary = looks_binary(file.read(SAMPLE_BYTES))
        except OSError:
            # The file went away, or may not be read, since it was searched.
            continue
        if binary:
            found.binary += 1
        else:
            found.hits += group


def _show(found: _Found, limit: int, around: int, listing: Listing, before: str) -> ToolOutput:
    excerpts = [
        excerpt(listing.base / path, before + show_name(path), list(group), around)
        for path, group in groupby(found.hits[:limit], key=lambda hit: hit.path)
    ]
    text = truncate_head((GROUPS if around else "\n").join(excerpts), max_lines=sys.maxsize)
    notices = []
    if len(found.hits) > limit:
        notices.append(f"{limit} matches limit reached. Use limit={limit * 2} for more, or refine the pattern")
    elif not found.complete:
        notices.append("There is more than could be searched; search fewer files")
    if text.cut:
        notices.append(BYTES_NOTICE)
    if LINE_CUT in text.content:
        notices.append("Long lines are cut; use read to see them")
    if found.binary:
        many = "files match, too, and are" if found.binary > 1 else "file matches, too, and is"
        notices.append(f"{found.binary} binary {many} not shown")
    if not listing.complete:
        notices.append(INCOMPLETE)
    return ToolOutput.of(annotate(text.content or "No matches found", notices))
