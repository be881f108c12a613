"""Committing everything in a worktree, whatever state the agent left it in."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kugetsu.workspace.git import Git
from kugetsu.workspace.private import Private
from kugetsu.workspace.result import Result
from kugetsu.workspace.state import State

_IN_PROGRESS: Final = (
    "AUTO_MERGE",
    "CHERRY_PICK_HEAD",
    "MERGE_HEAD",
    "MERGE_MODE",
    "MERGE_MSG",
    "REVERT_HEAD",
    "SQUASH_MSG",
)
"""What git keeps of a merge, cherry-pick or revert until it is committed."""

_LOCKED: Final = re.compile(rb"Unable to create '(.*\.lock)': File exists")
_MOST_LOCKS: Final = 4


async def commit_result(
    private: Private, git: Git, state: State, found: Result, message: str, identity: Mapping[str, str]
) -> None:
    """Commit what the work amounts to, on top of the tip. No hook runs and nothing is signed.

    A merge that waits for its commit gets it. The index that made the tree becomes the worktree's, so a damaged one is
    repaired by that. When something older is checked out, only the task's branch moves.

    Raises:
        RepositoryError, WorkspaceError: git failed; nothing is lost.
        OSError: the same.
    """
    named = git.at(git.cwd, identity)
    parents = (state.tip,) if state.aside else (state.tip, *state.merging)
    options = [part for parent in dict.fromkeys(parents) for part in ("-p", parent)]
    text = message.replace("\0", " ").encode(errors="replace")
    commit = (await named.run("commit-tree", found.tree, *options, "-F", "-", stdin=text)).decode().strip()
    await _move(private, named, f"refs/heads/{private.branch}" if state.aside else "HEAD", commit)
    if not state.aside:
        found.index.replace(private.index)
        for name in _IN_PROGRESS:
            (private.admin / name).unlink(missing_ok=True)


async def _move(private: Private, git: Git, name: str, commit: str) -> None:
    """Let HEAD (that is, the branch it stands for) or a branch be the commit. Locks of a killed git are removed."""
    for _ in range(_MOST_LOCKS):
        done = await git.ask("update-ref", "-m", "commit: by Kugetsu", name, commit)
        if done.code == 0:
            return
        lock = _stale_lock(private, done.stderr)
        if lock is None:
            break
        lock.unlink(missing_ok=True)
    raise git.failure(done, "update-ref")


def _stale_lock(private: Private, printed: bytes) -> Path | None:
    """The lock of the private repository that was in the way. Nobody works there any more, so nobody holds it."""
    found = _LOCKED.search(printed)
    lock = Path(found[1].decode(errors="surrogateescape")) if found else None
    return lock if lock and lock.is_relative_to(private.repository) else None
