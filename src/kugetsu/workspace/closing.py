"""Whether a task's worktree or repository can go: only when the source has every commit, and no file is left over."""

import os
from collections.abc import Mapping
from typing import Final

from kugetsu.errors import RepositoryError
from kugetsu.tasks import Place
from kugetsu.workspace.changes import Difference, difference
from kugetsu.workspace.delivery import DELIVERED, TIP
from kugetsu.workspace.discarding import discard
from kugetsu.workspace.facts import facts_of
from kugetsu.workspace.git import Git, agent_environment
from kugetsu.workspace.private import Private
from kugetsu.workspace.result import result
from kugetsu.workspace.snapshots import folder, newest_tree
from kugetsu.workspace.state import State, environment, read_state
from kugetsu.workspace.wording import printable

_WHAT_THE_SOURCE_HAS: Final = ("--not", "--alternate-refs")
"""Every commit that a reference of the repository reaches whose objects are borrowed."""

CLOSED: Final = "kugetsu-closed"
"""A file in the private repository: the worktree was removed by us, because all its work was delivered."""


async def removable(private: Private, git: Git) -> bool:
    """Whether nothing would be lost with the repository and the worktree, whose own files are all committed.

    Snapshots do not count: they are there to go back to, and what came of them is on a branch.

    Raises:
        OSError: the repository is gone.
        RepositoryError, WorkspaceError: git failed.
    """
    if len(os.listdir(private.admin.parent)) > 1:  # noqa: PTH208 - a few names; the agent made worktrees of its own
        return False
    if private.worktree_exists and not _is_own_link(private):
        return False
    return not (await _undelivered(git, *_all_but_snapshots(private)) or await _submodules_changed(private, git))


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


async def forget(private: Private, place: Place, environ: Mapping[str, str]) -> bool:
    """Remove what there is of a task but its branch in the source, if nothing is lost by it; whether it is gone.

    Nothing is lost when the source's branch has the tip of the work, other references of the source have every other
    commit, and the files of the worktree are in the tip, or were in the last snapshot before it went.

    Raises:
        OSError: the machine refused.
        WorkspaceError: git could not be run.
    """
    git = Git(private.repository, agent_environment(environ), printable(private.repository))
    git = git.at(private.repository, environment(private))
    try:
        if not await _nothing_lost(private, git, place):
            return False
    except RepositoryError:  # damaged, or the source is gone: this may be the only copy
        return False
    return all([await discard(directory) for directory in (private.worktree, private.repository)])


async def _nothing_lost(private: Private, git: Git, place: Place) -> bool:
    state = await read_state(private, git, place.base)
    delivered = {place.base, *await git.resolve(f"{DELIVERED}^{{commit}}", f"{TIP}^{{commit}}")}
    return (
        state.tip in delivered
        and private.rules == facts_of(place).rules
        and await clean(private, git, state, place.base)
        and await _saved(private, git, state)
        and await removable(private, git)
    )


async def _saved(private: Private, git: Git, state: State) -> bool:
    """Whether the files of a worktree that is gone are in the tip: either we removed it, or the last snapshot says so."""
    if private.worktree_exists or (private.repository / CLOSED).exists():
        return True
    return await newest_tree(git, private.task_id) in {"", state.tip_tree}


async def other_work(private: Private, git: Git, tip: str) -> list[str]:
    """Names of branches, and of the stash, with commits that neither the work nor the source has.

    Raises:
        RepositoryError, WorkspaceError: git failed.
    """
    if not await _undelivered(git, *_all_but_snapshots(private)):
        return []
    listed = await git.run("for-each-ref", "--format=%(refname)", f"--no-merged={tip}", "refs/heads", "refs/stash")
    names = [os.fsdecode(name) for name in listed.splitlines()]
    return [name.removeprefix("refs/").removeprefix("heads/") for name in names if await _undelivered(git, name)]


def _all_but_snapshots(private: Private) -> tuple[str, str]:
    return f"--exclude={folder(private.task_id)}/*", "--all"


async def _undelivered(git: Git, *what: str) -> bool:
    return bool(await git.run("rev-list", "--max-count=1", *what, *_WHAT_THE_SOURCE_HAS, "--"))


async def _submodules_changed(private: Private, git: Git) -> bool:
    if not private.has_submodules:
        return False
    here = git.at(private.worktree, {"GIT_INDEX_FILE": private.index})
    return bool(await here.run("status", "--porcelain", "-z", "--ignore-submodules=none", "--untracked-files=no"))


def _is_own_link(private: Private) -> bool:
    """Whether `.git` in the worktree is the file that was put there, and no repository of the agent's own making."""
    return private.link.is_file()
