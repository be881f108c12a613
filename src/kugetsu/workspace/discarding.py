"""Taking a task's directories away: whole or not at all, also when this process is killed in the middle."""

import asyncio
import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kugetsu.errors import LeaseLostError
from kugetsu.processes import end_marked
from kugetsu.removal import remove_tree
from kugetsu.workspace.delivery import branch_in
from kugetsu.workspace.owner import in_use
from kugetsu.workspace.private import Private
from kugetsu.workspace.source import Source
from kugetsu.workspace.state import MARKER, marker_of
from kugetsu.workspace.wording import printable

_GONE: Final = ".gone-"
_ASIDE: Final = ".aside-"


async def discard(directory: Path) -> bool:
    """Remove a directory. It gets another name first: half a worktree would look like one in which files were deleted.

    Returns:
        Whether it and everything that earlier attempts left is removed.
    """
    await sweep(directory)
    return _put_away(directory) and await sweep(directory)


async def sweep(directory: Path) -> bool:
    """Remove what is left of a directory that was discarded; whether nothing is left."""
    gone = _gone(directory)
    return not _is_there(gone) or await remove_tree(gone)


def _put_away(directory: Path) -> bool:
    """Give it another name; whether it no longer has its own."""
    with contextlib.suppress(OSError):
        directory.rename(_gone(directory))
    return not _is_there(directory)


def _is_there(path: Path) -> bool:
    return os.path.lexists(path)


def _gone(directory: Path) -> Path:
    """The name that a directory has while it is removed."""
    return directory.with_name(f"{_GONE}{directory.name}")


async def end_git(private: Private, since: float | None = None) -> None:
    """End git commands that a killed process left running in a task's repository; for `since` see `end_marked`."""
    await end_marked(MARKER, marker_of(private), since=since)


async def clear(source: Source, private: Private) -> tuple[str, ...]:
    """Remove what a making left that was killed, where nobody ever worked.

    The branch goes first, and only if it is where it was made, or another reference has its commit too, and nobody has
    it checked out.

    What anything else changed there meanwhile, an editor for example, is moved aside with the worktree.

    Returns:
        What the user should know.

    Raises:
        LeaseLostError: somebody works there: it is the caller that has lost the task.
        OSError: it could not be moved.
        RepositoryError, WorkspaceError: git failed.
    """
    touched = await asyncio.to_thread(_worked_in, private)
    if touched and in_use(private.repository):
        raise LeaseLostError(f"somebody works in {printable(private.worktree)} already")
    await end_git(private)
    commit, checked_out = await branch_in(source, private.branch)
    if commit and not checked_out and (commit in private.made_at or await _has_other_name(source, commit)):
        await source.store.ask("update-ref", "-d", f"refs/heads/{private.branch}", commit)
    notes = (_move_aside(private.worktree),) if touched and private.worktree_exists else ()
    for directory in (private.worktree, private.repository):
        await discard(directory)
    return notes


def _move_aside(worktree: Path) -> str:
    """Let a worktree in which something was changed stay, under another name; returns what is said of it."""
    aside = _aside(worktree.name, worktree)
    worktree.rename(aside)
    return f"What was changed in the worktree before the task began was moved to {printable(aside)}."


@contextlib.contextmanager
def renamed_aside(aside: Path) -> Iterator[Path]:
    """Give a worktree that was moved aside another such name while the block runs, and its own again if it is there then.

    Raises:
        OSError: it could not be renamed.
    """
    hidden = _aside(aside.name.rpartition(_ASIDE)[0], aside)
    aside.rename(hidden)
    try:
        yield hidden
    finally:
        if _is_there(hidden):
            with contextlib.suppress(OSError):
                hidden.rename(aside)


def _aside(worktree: str, beside: Path) -> Path:
    return beside.with_name(f"{worktree}{_ASIDE}{secrets.token_hex(4)}")


def _worked_in(private: Private) -> bool:
    """Whether anything was changed since the worktree was made."""
    try:
        made = private.made.stat().st_mtime_ns
    except OSError:
        return False
    if any(_time(str(path)) > made for path in (private.index, private.admin / "HEAD")):
        return True
    walk = os.walk(private.worktree)
    return any(_time(place) > made for folder, _, files in walk for place in (folder, *_inside(folder, files)))


def _inside(folder: str, names: list[str]) -> list[str]:
    return [f"{folder}/{name}" for name in names]


def _time(path: str) -> int:
    try:
        return os.lstat(path).st_mtime_ns
    except OSError:
        return 0


async def _has_other_name(source: Source, commit: str) -> bool:
    listed = await source.store.run("for-each-ref", "--count=2", "--format=%(refname)", f"--contains={commit}")
    return len(listed.splitlines()) > 1
