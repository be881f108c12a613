"""The worktree as a tree object, made with an index of its own: nothing that git or the agent uses is changed."""

import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from kugetsu.processes import Captured
from kugetsu.workspace.git import Git
from kugetsu.workspace.private import Private

_FATAL: Final = 128
_NOT_STORED: Final = re.compile(rb"failed to insert into database|No space left on device|quota exceeded")
_UNREADABLE_FOLDER: Final = re.compile(rb"could not open directory '(.*)'")
GITLINK: Final = b"160000"
"""Mode of a tree entry that names a commit of another repository."""


class Snapshot(msgspec.Struct, frozen=True):
    """What the worktree holds.

    Attributes:
        tree: id of the tree object, ignored files left out.
        index: the index that describes it. Gone when the block that made the snapshot is left.
        unsaved: paths that no tree can hold: repositories inside the worktree, and what could not be read.
    """

    tree: str
    index: Path
    unsaved: tuple[bytes, ...] = ()


@asynccontextmanager
async def snapshot(private: Private, git: Git, before: str) -> AsyncIterator[Snapshot]:
    """Make the tree of everything in the worktree.

    Args:
        private: whose worktree.
        git: git, on the worktree.
        before: the tree that is checked out.

    Raises:
        RepositoryError: an object is damaged.
        WorkspaceError: git failed, for example on a full disk.
    """
    index = private.admin / f"index.kugetsu-{secrets.token_hex(4)}"
    apart = git.at(git.cwd, {"GIT_INDEX_FILE": index})
    try:
        copied = _copy(private.index, index)
        unsaved = await _add_everything(apart, before, copied=copied)
        tree = await _write_tree(apart)
        inner = await _new_repositories(apart, before, tree) if tree != before else set()
        if inner:
            await apart.run("update-index", "--force-remove", "-z", "--stdin", stdin=b"\0".join(inner) + b"\0")
            tree = await _write_tree(apart)
        yield Snapshot(tree, index, tuple(sorted({*unsaved, *inner})))
    finally:
        for left_over in (index, index.with_name(f"{index.name}.lock")):
            left_over.unlink(missing_ok=True)


def _copy(index: Path, target: Path) -> bool:
    """Begin with the agent's index, which knows what files are unchanged. Returns whether there was one to copy.

    Its time comes along: git looks again at files that were changed in the second in which the index was written.
    """
    with suppress(FileNotFoundError, PermissionError):
        if index.is_file():
            shutil.copy2(index, target)
            return True
    return False


async def _add_everything(git: Git, before: str, *, copied: bool) -> set[bytes]:
    """Bring the index up to date with the files; returns what could not be added.

    A second attempt starts from the tree, for an index that is damaged or missing.
    """
    if copied:
        await _look_at_all(git)
    done = await _add(git) if copied else None
    if done is None or done.code >= _FATAL or done.code < 0:
        await git.run("read-tree", before)
        done = await _add(git)
    if done.code >= _FATAL or done.code < 0 or (done.code and _NOT_STORED.search(done.stderr)):
        raise git.failure(done, "add")
    closed = {os.fsencode(name) for name in _UNREADABLE_FOLDER.findall(done.stderr)}
    return closed | (await _left_over(git) if done.code else set())


async def _look_at_all(git: Git) -> None:
    """Forget which files the agent told git to look away from (`--assume-unchanged`, `--skip-worktree`)."""
    done = await git.ask("ls-files", "-v", "-z")
    hidden = [line[2:] for line in done.stdout.split(b"\0") if line[:1].islower() or line[:1] == b"S"]
    if there := _existing(git.cwd, hidden):
        names = b"\0".join(there) + b"\0"
        for flag in ("--no-assume-unchanged", "--no-skip-worktree"):
            await git.ask("update-index", flag, "-z", "--stdin", stdin=names)


def _existing(folder: Path, names: list[bytes]) -> list[bytes]:
    """Those that are there; what a sparse checkout leaves out is no deletion."""
    return [name for name in names if os.path.lexists(folder / os.fsdecode(name))]


async def _add(git: Git) -> Captured:
    return await git.ask("-c", "core.sparseCheckout=false", "add", "--all", "--ignore-errors")


async def _left_over(git: Git) -> set[bytes]:
    listed = await git.run("ls-files", "--others", "--modified", "--exclude-standard", "-z")
    return {name for name in listed.split(b"\0") if name}


async def _write_tree(git: Git) -> str:
    return (await git.run("write-tree")).decode().strip()


async def _new_repositories(git: Git, before: str, tree: str) -> set[bytes]:
    """Repositories inside the worktree that no commit knows. As an entry of the tree they would lose all they hold."""
    listed = await git.run("diff-tree", "-r", "-z", "--raw", "--no-renames", before, tree)
    return {path for before, after, path in raw_changes(listed) if after == GITLINK != before}


def raw_changes(listed: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Read raw output of `git diff-tree -z`: the mode before, the mode after and the (new) path of each change."""
    fields = iter(listed.split(b"\0"))
    for head in fields:
        if head.startswith(b":"):
            before, after, *_, status = head.lstrip(b":").split(b" ")
            path = next(fields)
            yield before, after, next(fields) if status[:1] in {b"R", b"C"} else path
