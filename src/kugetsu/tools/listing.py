"""The files of a directory as a person working on the project sees them: what git ignores is left out."""

import asyncio
import os
import stat
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from kugetsu.errors import ToolError
from kugetsu.processes import capture
from kugetsu.protocols import ToolContext

MOST_FILES: Final = 200_000
"""Files of one listing."""

INCOMPLETE: Final = f"Only the first {MOST_FILES} files were looked at; name a smaller directory"
"""Tells that there were more."""

_SECONDS: Final = 30.0
"""Time limit of a listing."""

_NESTED: Final = 4
"""Repositories within each other that git is asked about; any further inside are walked."""

_LIST_FILES: Final = ("ls-files", "-z", "--cached", "--others", "--exclude-standard")


class Listing(msgspec.Struct, frozen=True):
    """Files below a directory.

    Attributes:
        base: the directory.
        paths: relative to it, with `/`, sorted; may name files that are gone, links and submodules.
        complete: False when there were more than `MOST_FILES`.
    """

    base: Path
    paths: list[str]
    complete: bool = True


async def list_files(base: Path, context: ToolContext) -> Listing:
    """List the files below a directory.

    In a git worktree: tracked files, and untracked ones that are not ignored, also those of untracked repositories
    in it, by their own rules. Elsewhere, or where git ignores the directory itself, so that it must have been meant:
    all files but those below a `.git`. No link is followed, not even where git still has files below it.

    Args:
        base: the directory, resolved.
        context: where the call runs.

    Raises:
        ToolError: it takes too long.
        OSError: git cannot be started for want of memory or processes.
    """
    try:
        async with asyncio.timeout(_SECONDS):
            paths = await _paths(base, context, _NESTED)
    except TimeoutError:
        raise ToolError(f"Listing files took more than {_SECONDS:g} seconds", fix="name a smaller directory") from None
    return Listing(base, paths[:MOST_FILES], complete=len(paths) <= MOST_FILES)


def is_file(path: Path) -> bool:
    """Whether it is a regular file itself: a link could lead out of the workspace, a pipe could block."""
    mode = _mode(path)
    return mode is not None and stat.S_ISREG(mode)


def is_file_or_link(path: Path) -> bool:
    """Whether it is a regular file or a link to whatever."""
    mode = _mode(path)
    return mode is not None and (stat.S_ISREG(mode) or stat.S_ISLNK(mode))


def _mode(path: Path) -> int | None:
    try:
        return path.lstat().st_mode
    except OSError:
        return None


async def _paths(base: Path, context: ToolContext, depth: int) -> list[str]:
    """Sorted paths of files; possibly more than a listing takes."""
    found = await _git(base, context, *_LIST_FILES) if depth else None
    if found is None or (not found and await _ignored(base, context)):
        return await asyncio.to_thread(lambda: sorted(_walk(base)))
    files, repositories = await asyncio.to_thread(_entries, base, found)
    for repository in repositories:
        if len(files) > MOST_FILES:
            break
        files += [repository + path for path in await _paths(base / repository, context, depth - 1)]
    return await asyncio.to_thread(sorted, files)


def _entries(base: Path, found: bytes) -> tuple[list[str], list[str]]:
    """What git lists: files, and other repositories, whose names end in `/`. Nothing below a link."""
    is_link = cache(lambda directory: stat.S_ISLNK(_mode(base / directory) or 0))
    names = {os.fsdecode(name) for name in found.split(b"\0") if name}
    paths = sorted(path for path in names if not any(map(is_link, _directories(path))))
    files = [path for path in paths if not path.endswith("/")]
    return files, [path for path in paths if path.endswith("/")]


def _directories(path: str) -> Iterator[str]:
    """Those on the way to a path, from the top."""
    end = path.find("/")
    while end >= 0:
        yield path[:end]
        end = path.find("/", end + 1)


async def _git(base: Path, context: ToolContext, *arguments: str) -> bytes | None:
    """What git prints; None where it fails, above all outside of a worktree, or is not installed."""
    # A file system monitor is a program that the repository's configuration names: not started for a listing.
    command = ("git", "--no-optional-locks", "-c", "core.fsmonitor=false", *arguments)
    try:
        done = await capture(command, cwd=base, env=context.environment)
    except FileNotFoundError:
        return None
    return done.stdout if done.code == 0 else None


async def _ignored(base: Path, context: ToolContext) -> bool:
    return await _git(base, context, "check-ignore", "-q", ".") is not None


def _walk(base: Path) -> list[str]:
    """All files, at most one more than a listing takes."""
    paths: list[str] = []
    for path in _files_below(base):
        paths.append(path)
        if len(paths) > MOST_FILES:
            break
    return paths


def _files_below(base: Path) -> Iterator[str]:
    for directory, children, files in os.walk(base):
        children[:] = sorted(child for child in children if child != ".git")
        prefix = Path(directory).relative_to(base).as_posix()
        for name in files:
            if name != ".git":
                yield name if prefix == "." else f"{prefix}/{name}"
