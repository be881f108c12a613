"""What a fork takes over from the task it was forked from: its snapshots, up to the one that it begins with."""

import os

import msgspec

from kugetsu.errors import WorkspaceError
from kugetsu.workspace.durable import replace_file
from kugetsu.workspace.git import Git
from kugetsu.workspace.private import Private
from kugetsu.workspace.snapshots import Kept, find_snapshot, folder, snapshot_names
from kugetsu.workspace.wording import printable

_BRANCHES = "kugetsu-forked-from"
"""A file in the private repository: the branches of the tasks that the snapshots are of."""

_FETCH = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance")


def pruned(snapshot: str, repository: object) -> WorkspaceError:
    """The error for a snapshot that is gone."""
    return WorkspaceError(
        f"the snapshot {printable(snapshot)} is no longer in {printable(str(repository))}", fix="take a later turn"
    )


async def inherit(private: Private, git: Git, original: Private, snapshot: str, name: str) -> Kept:
    """Bring the snapshots of another task of the same repository here, those after the given one left out.

    Args:
        private: where to.
        git: git, on it.
        original: where from.
        snapshot: the one to begin with.
        name: a name that keeps it, whatever its turn.

    Raises:
        WorkspaceError: it is gone.
        RepositoryError: git failed.
    """
    if not original.exists:
        raise WorkspaceError(
            f"the snapshots of task {original.task_id} are no longer in {printable(original.repository)}:"
            " they were pruned to free disk space",
            fix=f"a new task goes on from its branch, {original.branch}",
        )
    there = git.at(original.repository, {"GIT_DIR": original.repository})
    found = await find_snapshot(there, snapshot)
    if found is None:
        raise pruned(snapshot, original.repository)
    names = await snapshot_names(there, original.task_id, found)
    wanted = [f"+{commit}:{folder(private.task_id)}/{turn}" for turn, commit in names.items()]
    await git.run("fetch", *_FETCH, original.repository, f"+{snapshot}:{name}", *wanted)
    branches = b"".join(line + b"\n" for line in (*_branches(original), os.fsencode(original.branch)))
    replace_file(private.repository / _BRANCHES, branches)
    return found


def on_own_branch(private: Private, kept: Kept) -> Kept:
    """A snapshot as it is meant here: what stood on the branch of the original stands on our own."""
    inherited = {b"refs/heads/" + name for name in _branches(private)}
    if kept.standing.head not in inherited:
        return kept
    own = os.fsencode(f"refs/heads/{private.branch}")
    return msgspec.structs.replace(kept, standing=msgspec.structs.replace(kept.standing, head=own))


def _branches(private: Private) -> list[bytes]:
    try:
        return (private.repository / _BRANCHES).read_bytes().splitlines()
    except FileNotFoundError:
        return []
