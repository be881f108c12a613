"""Whether a task's repository can go: only when the source has every commit of it, and no file is left over."""

import os
from typing import Final

from kugetsu.workspace.git import Git
from kugetsu.workspace.private import Private

_WHAT_THE_SOURCE_HAS: Final = ("--not", "--alternate-refs")
"""Every commit that a reference of the repository reaches whose objects are borrowed."""


async def removable(private: Private, git: Git) -> bool:
    """Whether nothing would be lost with the repository and the worktree, whose own files are all committed.

    Raises:
        OSError: the repository is gone.
        RepositoryError, WorkspaceError: git failed.
    """
    if len(os.listdir(private.admin.parent)) > 1:  # noqa: PTH208 - a few names; the agent made worktrees of its own
        return False
    if private.worktree_exists and not _is_own_link(private):
        return False
    return not (await _undelivered(git, "--all") or await _submodules_changed(private, git))


async def other_work(git: Git, tip: str) -> list[str]:
    """Names of branches, and of the stash, with commits that neither the work nor the source has.

    Raises:
        RepositoryError, WorkspaceError: git failed.
    """
    if not await _undelivered(git, "--all"):
        return []
    listed = await git.run("for-each-ref", "--format=%(refname)", f"--no-merged={tip}", "refs/heads", "refs/stash")
    names = [os.fsdecode(name) for name in listed.splitlines()]
    return [name.removeprefix("refs/").removeprefix("heads/") for name in names if await _undelivered(git, name)]


async def _undelivered(git: Git, what: str) -> bool:
    return bool(await git.run("rev-list", "--max-count=1", what, *_WHAT_THE_SOURCE_HAS, "--"))


async def _submodules_changed(private: Private, git: Git) -> bool:
    if not private.has_submodules:
        return False
    here = git.at(private.worktree, {"GIT_INDEX_FILE": private.index})
    return bool(await here.run("status", "--porcelain", "-z", "--ignore-submodules=none", "--untracked-files=no"))


def _is_own_link(private: Private) -> bool:
    """Whether `.git` in the worktree is the file that was put there, and no repository of the agent's own making."""
    return private.link.is_file()
