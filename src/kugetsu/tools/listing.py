"""The files of a directory as a person working on the project sees them: what git ignores is left out."""

import asyncio
import os
import stat
from collections.abc import Iterator
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
"""Time limit of git's part."""

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

    In a git worktree: tracked files, and untracked ones that are not ignored. Elsewhere, or where git ignores the
    directory itself, so that it must have been meant: all files but those below a `.git`.

    Args:
        base: the directory, resolved.
        context: where the call runs.

    Raises:
        ToolError: it takes too long.
        OSError: git cannot be started for want of memory or processes.
    """
    found = await _git(base, context, *_LIST_FILES)
    if found is not None and (found or not await _ignored(base, context)):
        paths = await asyncio.to_thread(lambda: sorted({os.fsdecode(path) for path in found.split(b"\0") if path}))
        return Listing(base, paths[:MOST_FILES], complete=len(paths) <= MOST_FILES)
    paths = await asyncio.to_thread(_walk, base)
    return Listing(base, sorted(paths[:MOST_FILES]), complete=len(paths) <= MOST_FILES)


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


async def _git(base: Path, context: ToolContext, *arguments: str) -> bytes | None:
    """What git prints; None where it fails, above all outside of a worktree, or is not installed."""
    # A file system monitor is a program that the repository's configuration names: not started for a listing.
    command = ("git", "--no-optional-locks", "-c", "core.fsmonitor=false", *arguments)
    try:
        done = await capture(command, cwd=base, env=context.environment, seconds=_SECONDS)
    except FileNotFoundError:
        return None
    except TimeoutError:
        raise ToolError(
            f"git needed more than {_SECONDS:g} seconds to list files", fix="name a smaller directory"
        ) from None
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
