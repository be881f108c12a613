"""Where an agent left its repository, and which commit is its work."""

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from kugetsu.errors import WorkspaceError
from kugetsu.workspace.git import Git
from kugetsu.workspace.private import Private, link_worktree
from kugetsu.workspace.standing import Lookout
from kugetsu.workspace.wording import printable

MARKER: Final = "KUGETSU_REPOSITORY"
"""Variable by which git commands of ours in a task's repository are found when the process that began them is gone."""

_COMMIT_ID: Final = re.compile(r"[0-9a-f]{40,64}")


class State(msgspec.Struct, frozen=True):
    """The commits of a private repository.

    Attributes:
        head: what is checked out; the tip or the base when that is no commit (an unborn branch, a damaged object).
        tree: the tree of `head`.
        tip: the commit that is the work: see `read_state`.
        tip_tree: the tree of `tip`.
        merging: commits that a merge in progress brings in.
        aside: whether `head` is only a part of the work, because the agent went back to look at something older.
    """

    head: str
    tree: str
    tip: str
    tip_tree: str
    merging: tuple[str, ...] = ()
    aside: bool = False


async def read_state(private: Private, git: Git, base: str, lookout: Lookout | None = None) -> State:
    """Find out what is checked out and what the work is.

    The work is what is checked out, wherever the agent went, unless the task's branch already contains that and more:
    then the agent only looked at something older, and the branch is the work. When each has commits that the other
    has not, what is checked out counts, because it is what was tested last.

    Raises:
        OSError: the repository cannot be written.
        RepositoryError, WorkspaceError: it is gone, or git failed.
    """
    if not private.exists:
        raise WorkspaceError(
            f"the task's repository {printable(private.repository)} was removed",
            fix=f"see {printable(private.worktree)}",
        )
    link_worktree(private)
    lookout = lookout or Lookout(private, git)
    standing = await lookout.look()
    branch = standing.branch
    checked_out = standing.commit or branch or base
    aside = branch not in {"", checked_out} and await _is_part(git, checked_out, branch)
    tip = branch if aside else checked_out
    [tree, tip_tree] = await lookout.trees(checked_out, tip)
    return State(checked_out, tree, tip, tip_tree, _merging(private.admin / "MERGE_HEAD"), aside)


async def _is_part(git: Git, commit: str, whole: str) -> bool:
    """Whether a commit is an ancestor of another."""
    return (await git.ask("merge-base", "--is-ancestor", commit, whole)).code == 0


def _merging(path: Path) -> tuple[str, ...]:
    try:
        return tuple(_COMMIT_ID.findall(path.read_text(errors="replace")))
    except OSError:
        return ()


def marker_of(private: Private) -> str:
    """The value of `MARKER` for a task's repository."""
    return hashlib.sha256(os.fsencode(private.repository)).hexdigest()[:20]


def environment(private: Private) -> Mapping[str, str | Path]:
    """Variables that bind git to the worktree, whatever became of the link in it.

    The index is one that does not exist: many commands read it without need, and the agent's may be damaged.
    """
    return {
        "GIT_DIR": private.admin,
        "GIT_WORK_TREE": private.worktree,
        "GIT_INDEX_FILE": private.admin / "index.kugetsu-none",
        MARKER: marker_of(private),
    }
