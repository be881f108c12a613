"""Committing everything in a worktree, whatever state the agent left it in."""

from collections.abc import Callable, Mapping
from typing import Final

from kugetsu.concurrency import finish
from kugetsu.workspace.git import Git
from kugetsu.workspace.private import Private
from kugetsu.workspace.result import Result
from kugetsu.workspace.stale import run_over_locks
from kugetsu.workspace.state import State

OF_A_MERGE: Final = (
    "AUTO_MERGE",
    "CHERRY_PICK_HEAD",
    "MERGE_HEAD",
    "MERGE_MODE",
    "MERGE_MSG",
    "REVERT_HEAD",
    "SQUASH_MSG",
)
"""What git keeps of a merge, cherry-pick or revert until it is committed."""


async def commit_result(
    private: Private,
    git: Git,
    state: State,
    found: Result,
    message: str,
    identity: Mapping[str, str],
    check: Callable[[], None],
) -> None:
    """Commit what the work amounts to, on top of the tip. No hook runs and nothing is signed.

    A merge that waits for its commit gets it. The index that made the tree becomes the worktree's, so a damaged one is
    repaired by that. When something older is checked out, only the task's branch moves.

    Args:
        private: where the worktree is.
        git: git, on its repository.
        state: what is checked out.
        found: what the work amounts to.
        message: of the commit.
        identity: who commits.
        check: raises when the worktree is no longer ours.

    Raises:
        RepositoryError, WorkspaceError: git failed; nothing is lost.
        OSError: the same.
    """
    named = git.at(git.cwd, identity)
    parents = (state.tip,) if state.aside else (state.tip, *state.merging)
    options = [part for parent in dict.fromkeys(parents) for part in ("-p", parent)]
    text = message.replace("\0", " ").encode(errors="replace")
    commit = (await named.run("commit-tree", found.tree, *options, "-F", "-", stdin=text)).decode().strip()
    check()
    await finish(_take_over(private, named, state, found, commit))


async def _take_over(private: Private, git: Git, state: State, found: Result, commit: str) -> None:
    """Let HEAD (that is, the branch it stands for) be the commit, and the index that of its tree."""
    name = f"refs/heads/{private.branch}" if state.aside else "HEAD"
    await run_over_locks(git, private.repository, "update-ref", "-m", "commit: by Kugetsu", name, commit)
    if not state.aside:
        found.index.replace(private.index)
        for left_over in OF_A_MERGE:
            (private.admin / left_over).unlink(missing_ok=True)
