"""Where a shadow works: its worktree, made or found again, and what its commands get to see."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from kugetsu.processes import clean_environment, end_marked
from kugetsu.protocols import Claim, Desk, Workspace, Workspaces
from kugetsu.sessions import Session
from kugetsu.shadows.run_log import RunLog

TASK_MARKER: Final = "KUGETSU_TASK"
"""Environment variable of every process that a shadow starts; its value is the task's id."""


class Residence(msgspec.Struct, frozen=True):
    """A shadow's worktree and what its commands find there.

    Attributes:
        environment: the whole environment of commands.
        scratch: a private directory outside the worktree.
    """

    workspace: Workspace
    environment: dict[str, str]
    scratch: Path


async def move_in(
    claim: Claim,
    session: Session,
    log: RunLog,
    workspaces: Workspaces,
    tasks: Desk,
    *,
    host: str,
    since: float,
    scratch: Path,
    environment: Mapping[str, str],
    allow: tuple[str, ...],
) -> Residence:
    """Make the worktree of a task, or find it as its last run left it; first of all end what that run left running.

    Args:
        claim: the task.
        session: what is known of it; says whether the worktree has to be put back.
        log: where the place is written down before anything is done there.
        workspaces: makes and finds worktrees.
        tasks: knows the task that this one is a fork of.
        host: the machine and boot that this is.
        since: when the task was ours already; see `end_marked`.
        scratch: becomes the private directory.
        environment: what commands may inherit from.
        allow: names of variables that they inherit beside the built-in list.

    Raises:
        RepositoryError, WorkspaceError: the worktree cannot be had.
        LeaseLostError, RecordError: its place could not be written down.
        OSError: the private directory cannot be made.
    """
    record, task = claim.record, claim.record.task
    if again := record.generation > 1:
        await end_marked(TASK_MARKER, task.id, since=since)
    if record.place:
        workspace = await workspaces.reopen(task, record.place, session.snapshot)
    else:
        workspace = await _make(claim, session, workspaces, tasks, again=again)
        await log.place(workspace.place)
    if session.rewound or _lost_power(claim, session, host):
        await workspace.restore(session.snapshot)
    tmp = scratch / "tmp"
    await asyncio.to_thread(tmp.mkdir, parents=True, mode=0o700, exist_ok=True)
    extra = {**workspace.environment, TASK_MARKER: task.id, "TMPDIR": str(tmp)}
    return Residence(workspace, clean_environment(environment, allow=allow, extra=extra), scratch)


async def _make(claim: Claim, session: Session, workspaces: Workspaces, tasks: Desk, *, again: bool) -> Workspace:
    task = claim.record.task
    if task.forked_from:
        original = await tasks.find(task.forked_from.partition(":")[0])
        if original.place:
            return await workspaces.fork(task, original.place, session.snapshot, again=again)
    return await workspaces.create(task, again=again)


def _lost_power(claim: Claim, session: Session, host: str) -> bool:
    """Whether files of the worktree may be lost because the machine went down: then the last checkpoint is what holds.

    Not when a call has its result already and no snapshot has its work: that must not be undone.
    """
    before = claim.previous_worker
    if before is None or not claim.record.crashes or before.host == host:
        return False
    return session.turn > 0 and (session.open is None or not session.open.results)


def facts_of(workspace: Workspace) -> tuple[str, ...]:
    """What the agent is told about where it works."""
    facts = [
        f"The current directory is {workspace.path}, a git worktree of your own.",
        f"You are on the branch {workspace.branch}, which starts at commit {workspace.base[:12]}.",
        *workspace.notes,
    ]
    if workspace.directory != workspace.path:
        facts.insert(1, f"The task is about {workspace.directory.relative_to(workspace.path)} in it.")
    return tuple(facts)
