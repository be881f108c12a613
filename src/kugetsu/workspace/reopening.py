"""Finding the worktree of a task again, or making it once more from what there is of it."""

import asyncio
from collections.abc import Mapping

from kugetsu.errors import WorkspaceError
from kugetsu.tasks import Place
from kugetsu.workspace.closing import CLOSED
from kugetsu.workspace.delivery import branch_in
from kugetsu.workspace.discarding import discard, end_git, sweep
from kugetsu.workspace.facts import facts_of
from kugetsu.workspace.git import Git, agent_environment
from kugetsu.workspace.making import Known, Making
from kugetsu.workspace.owner import Owner
from kugetsu.workspace.private import Private
from kugetsu.workspace.repairing import is_cut, repair, repair_branches
from kugetsu.workspace.snapshots import find_snapshot
from kugetsu.workspace.source import Source
from kugetsu.workspace.state import environment
from kugetsu.workspace.watching import watch_of
from kugetsu.workspace.wording import printable
from kugetsu.workspace.workspace import GitWorkspace


async def reopen(
    source: Source,
    private: Private,
    place: Place,
    snapshot: str,
    environ: Mapping[str, str],
    known: Known,
    since: float,
) -> GitWorkspace:
    """Find a worktree again as its last run left it.

    If it is gone it is made from the snapshot, or from what is checked out in its repository. If that is gone too, from
    the branch in the source.

    Args:
        source: where the work comes from and goes to.
        private: where its files are, or were.
        place: as it was written down.
        snapshot: what a worktree that is gone is made from.
        environ: the user's environment.
        known: what the program knows already.
        since: when the worktree was ours already; see `end_marked`.

    Raises:
        RepositoryError, WorkspaceError: nothing is left of it, or the machine refused.
        OSError: the machine refused.
    """
    await end_git(private, since)
    for directory in (private.worktree, private.repository):
        await sweep(directory)
    if not private.exists:
        await _make_around(source, private, place, environ, known)
    owner = Owner(private.repository)
    owner.claim()
    await asyncio.to_thread(repair, private, source.common)
    git = Git(private.repository, agent_environment(environ), str(private.repository))
    # While the source has the branch it has the base; looking for a file costs no git.
    if not (source.common / "refs" / "heads" / private.branch).is_file():
        await _look_for_base(git.at(private.repository, {"GIT_DIR": private.repository}), source, private, place.base)
    if snapshot and is_cut(private.repository / "refs" / "heads" / private.branch):
        kept = await find_snapshot(git.at(private.repository, {"GIT_DIR": private.repository}), snapshot)
        if kept:
            await asyncio.to_thread(repair_branches, private, kept.standing)
    (private.repository / CLOSED).unlink(missing_ok=True)
    watch = watch_of(private, git.at(private.repository, environment(private)), known.book)
    workspace = GitWorkspace(private, source, place.base, git, facts_of(place), owner, watch)
    await workspace.resume(snapshot)
    return workspace


async def _look_for_base(git: Git, source: Source, private: Private, base: str) -> None:
    [commit] = await git.resolve(f"{base}^{{commit}}")
    if not commit:
        where = private.worktree if private.worktree_exists else private.repository
        raise WorkspaceError(
            f"the base {base[:12]} is no longer in {source.place}; the files are in {printable(where)}",
            fix=f"bring the commit {base} back there, for example from a clone, then try again",
        )


async def _make_around(
    source: Source, private: Private, place: Place, environ: Mapping[str, str], known: Known
) -> None:
    """Make the repository anew, at the branch in the source, around the worktree if there is one."""
    tip, _ = await branch_in(source, private.branch)
    if not tip and not private.worktree_exists:
        raise WorkspaceError(
            f"nothing is left of the work: {printable(private.worktree)} and {printable(private.repository)} are gone,"
            f" and {source.place} has no branch {private.branch}",
            fix="submit the task again",
        )
    await discard(private.repository)
    making = Making(source, private, environ, known)
    await making.make_around(tip or place.base, delivered=bool(tip))
