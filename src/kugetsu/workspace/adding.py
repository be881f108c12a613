"""Bringing an index up to date with the files of the worktree, whatever the agent did to git."""

import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from kugetsu.processes import Captured
from kugetsu.workspace.git import Git

_FATAL: Final = 128
_NOT_STORED: Final = re.compile(rb"failed to insert into database|No space left on device|quota exceeded")
_UNREADABLE_FOLDER: Final = re.compile(rb"could not open directory '(.*)'")
_LOOKING: Final = (
    "core.sparseCheckout=false",
    "core.ignoreStat=false",
    "core.trustctime=true",
    "core.checkStat=default",
)
"""An agent may tell git to look less closely; then work would be missed."""

GITLINK: Final = b"160000"
"""Mode of a tree entry that names a commit of another repository."""


def copy_index(index: Path, target: Path) -> bool:
    """Begin with the agent's index, which knows what files are unchanged. Returns whether there was one to copy.

    Its time comes along: git looks again at files that were changed in the second in which the index was written.
    """
    with suppress(FileNotFoundError, PermissionError):
        if index.is_file():
            shutil.copy2(index, target)
            return True
    return False


async def look_at_all(git: Git, *, missing: bool) -> None:
    """Forget which files the agent told git to look away from (`--assume-unchanged`, `--skip-worktree`).

    Args:
        git: git, with the index.
        missing: also those that are not there; what a sparse checkout leaves out is no deletion.
    """
    done = await git.ask("ls-files", "-v", "-z")
    hidden = [line[2:] for line in done.stdout.split(b"\0") if line[:1].islower() or line[:1] == b"S"]
    if there := hidden if missing else _existing(git.cwd, hidden):
        names = b"\0".join(there) + b"\0"
        for flag in ("--no-assume-unchanged", "--no-skip-worktree"):
            await git.ask("update-index", flag, "-z", "--stdin", stdin=names)


def _existing(folder: Path, names: list[bytes]) -> list[bytes]:
    return [name for name in names if os.path.lexists(folder / os.fsdecode(name))]


async def add_all(git: Git) -> Captured:
    """Add every file, also after one that cannot be read. What it prints is empty when the index knew it all."""
    settings = (part for value in _LOOKING for part in ("-c", value))
    return await git.ask(*settings, "add", "--all", "--ignore-errors", "--verbose")


async def force_add(git: Git, names: Iterable[bytes]) -> bool:
    """Add files although they are ignored; returns whether there were any.

    Raises:
        RepositoryError, WorkspaceError: git failed.
    """
    given = b"".join(name + b"\0" for name in names if _can_be_added(git.cwd / os.fsdecode(name)))
    if given:
        await git.run("update-index", "--add", "--replace", "-z", "--stdin", stdin=given)
    return bool(given)


def _can_be_added(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return stat.S_ISLNK(mode) or (stat.S_ISREG(mode) and os.access(path, os.R_OK))


def broken(done: Captured) -> bool:
    """Whether `add_all` did not get to its end, because of a damaged index for example."""
    return done.code >= _FATAL or done.code < 0


async def not_added(git: Git, done: Captured) -> set[bytes]:
    """What `add_all` could not add: what it cannot read, or a repository without a commit.

    Raises:
        RepositoryError, WorkspaceError: it failed for another reason, for example a full disk.
    """
    if broken(done) or (done.code and _NOT_STORED.search(done.stderr)):
        raise git.failure(done, "add")
    closed = {os.fsencode(name) for name in _UNREADABLE_FOLDER.findall(done.stderr)}
    return closed | (await _left_over(git) if done.code else set())


async def _left_over(git: Git) -> set[bytes]:
    listed = await git.run("ls-files", "--others", "--modified", "--exclude-standard", "-z")
    return names_in(listed)


async def ignored(git: Git) -> set[bytes] | None:
    """Files that are in the index although the rules ignore them; None when the index cannot be read."""
    done = await git.ask("ls-files", "--cached", "--ignored", "--exclude-standard", "-z")
    return None if done.code else names_in(done.stdout)


def names_in(listed: bytes) -> set[bytes]:
    """The names in a list that git ended with NULs."""
    return {name for name in listed.split(b"\0") if name}


async def write_tree(git: Git) -> str:
    """Make the tree that the index describes.

    Raises:
        RepositoryError, WorkspaceError: an object is missing, or the machine refused.
    """
    return (await git.run("write-tree")).decode().strip()


async def drop(git: Git, names: Iterable[bytes]) -> None:
    """Take names out of the index, and leave the files."""
    await git.run("update-index", "--force-remove", "-z", "--stdin", stdin=b"".join(name + b"\0" for name in names))


def new_repositories(listed: bytes) -> set[bytes]:
    """Repositories inside the worktree that no commit knows. As an entry of a tree they would lose all they hold."""
    return {path for before, after, path in raw_changes(listed) if after == GITLINK != before}


def raw_changes(listed: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Read raw output of `git diff-tree -z`: the mode before, the mode after and the (new) path of each change."""
    fields = iter(listed.split(b"\0"))
    for head in fields:
        if head.startswith(b":"):
            before, after, *_, status = head.lstrip(b":").split(b" ")
            path = next(fields)
            yield before, after, next(fields) if status[:1] in {b"R", b"C"} else path
