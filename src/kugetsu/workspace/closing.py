"""Whether a task's worktree or repository can go: only when the source has every commit, and no file is left over."""

import os
from typing import Final

from kugetsu.workspace.changes import Difference, difference
from kugetsu.workspace.git import Git
from kugetsu.workspace.private import Private
from kugetsu.workspace.result import result
from kugetsu.workspace.snapshots import folder
from kugetsu.workspace.state import State

_WHAT_THE_SOURCE_HAS: Final = ("--not", "--alternate-refs")
"""Every commit that a reference of the repository reaches whose objects are borrowed."""

CLOSED: Final = "kugetsu-closed"
"""A file in the private repository: the worktree was removed by us, because all its work was delivered."""


async def removable(private: Private, git: Git, *, delivered: bool = False) -> bool:
    """Whether nothing would be lost with the repository and the worktree, whose own files are all committed.

    Snapshots do not count: they are there to go back to, and what came of them is on a branch.

    Args:
        private: where they are.
        git: git, on the repository.
        delivered: whether the source is known to have every commit.

    Raises:
        OSError: the repository is gone.
        RepositoryError, WorkspaceError: git failed.
    """
    if len(os.listdir(private.admin.parent)) > 1:  # noqa: PTH208 - a few names; the agent made worktrees of its own
        return False
    if private.worktree_exists and not is_own_link(private):
        return False
    if not delivered and await has_unknown_commits(git, *all_but_snapshots(private)):
        return False
    return not await submodules_changed(private, git)


async def clean(private: Private, git: Git, state: State, base: str) -> bool:
    """Whether everything in the worktree is committed, and no repository is inside it; also when it is gone.

    Raises:
        RepositoryError, WorkspaceError: git failed.
    """
    if not private.worktree_exists:
        return True
    async with result(private, git.at(private.worktree, {}), state) as found:
        if found.uncommitted:
            return False
        return not inner_repositories(private, await difference(git, base, found.tree))


def inner_repositories(private: Private, changed: Difference) -> list[bytes]:
    """Repositories inside the worktree that are named in what was changed: their commits are not part of it."""
    return [path for path in changed.repositories if (private.worktree / os.fsdecode(path) / ".git").exists()]


async def other_work(git: Git, tip: str) -> list[str]:
    """Names of branches, and of the stash, with commits that neither the work nor the source has.

    Raises:
        RepositoryError, WorkspaceError: git failed.
    """
    listed = await git.run("for-each-ref", "--format=%(refname)", f"--no-merged={tip}", "refs/heads", "refs/stash")
    names = [os.fsdecode(name) for name in listed.splitlines()]
    return [name.removeprefix("refs/").removeprefix("heads/") for name in names if await has_unknown_commits(git, name)]


def all_but_snapshots(private: Private) -> tuple[str, str]:
    """Arguments of `git rev-list` for every commit that the repository names, but for its snapshots."""
    return f"--exclude={folder(private.task_id)}/*", "--all"


async def has_unknown_commits(git: Git, *what: str) -> bool:
    """Whether something leads to a commit that no reference of the source leads to.

    Raises:
        RepositoryError, WorkspaceError: git failed.
    """
    return bool(await git.run("rev-list", "--max-count=1", *what, *_WHAT_THE_SOURCE_HAS, "--"))


async def submodules_changed(private: Private, git: Git) -> bool:
    """Whether a submodule in the worktree holds something of its own.

    Raises:
        RepositoryError, WorkspaceError: git failed.
    """
    if not private.has_submodules:
        return False
    here = git.at(private.worktree, {"GIT_INDEX_FILE": private.index})
    return bool(await here.run("status", "--porcelain", "-z", "--ignore-submodules=none", "--untracked-files=no"))


def is_own_link(private: Private) -> bool:
    """Whether `.git` in the worktree is the file that was put there, and no repository of the agent's own making."""
    return private.link.is_file()
