"""The worktree as a tree object, made with an index of its own: nothing that git or the agent uses is changed."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from kugetsu.workspace.adding import (
    add_all,
    broken,
    copy_index,
    drop,
    look_at_all,
    new_repositories,
    not_added,
    write_tree,
)
from kugetsu.workspace.git import Git
from kugetsu.workspace.private import Private


class Tree(msgspec.Struct, frozen=True):
    """What the worktree holds.

    Attributes:
        id: of the tree object, ignored files left out.
        index: the index that describes it. Gone when the block that made the tree is left.
        unsaved: paths that no tree can hold: repositories inside the worktree, and what could not be read.
    """

    id: str
    index: Path
    unsaved: tuple[bytes, ...] = ()


@asynccontextmanager
async def worktree_tree(private: Private, git: Git, before: str) -> AsyncIterator[Tree]:
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
        copied = copy_index(private.index, index)
        unsaved = await _add_everything(apart, before, copied=copied)
        tree = await write_tree(apart)
        inner = await _new_repositories(apart, before, tree) if tree != before else set()
        if inner:
            await drop(apart, inner)
            tree = await write_tree(apart)
        yield Tree(tree, index, tuple(sorted({*unsaved, *inner})))
    finally:
        for left_over in (index, index.with_name(f"{index.name}.lock")):
            left_over.unlink(missing_ok=True)


async def _add_everything(git: Git, before: str, *, copied: bool) -> set[bytes]:
    """Bring the index up to date with the files; returns what could not be added.

    A second attempt starts from the tree, for an index that is damaged or missing.
    """
    if copied:
        await look_at_all(git, missing=False)
    done = await add_all(git) if copied else None
    if done is None or broken(done):
        await git.run("read-tree", before)
        done = await add_all(git)
    return await not_added(git, done)


async def _new_repositories(git: Git, before: str, tree: str) -> set[bytes]:
    return new_repositories(await git.run("diff-tree", "-r", "-z", "--raw", "--no-renames", before, tree))
