"""Where a shadow works: its worktree, made or found again, and what its commands get to see."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from kugetsu.errors import WorkspaceError
from kugetsu.processes import clean_environment, end_marked
from kugetsu.protocols import Claim, Commands, Desk, Workspace, Workspaces
from kugetsu.sessions import Session
from kugetsu.shadows.run_log import RunLog
from kugetsu.tasks import Place, Task

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


async def find_workspace(
    claim: Claim, session: Session, workspaces: Workspaces, tasks: Desk, commands: Commands, *, since: float
) -> Workspace:
    """Make the worktree of a task, or find it as its last run left it; first of all end what that run left running.

    Args:
        claim: the task.
        session: what is known of it.
        workspaces: makes and finds worktrees.
        tasks: knows the task that this one is a fork of.
        commands: may know of processes that hide.
        since: when the task was ours already; see `end_marked`.

    Raises:
        RepositoryError, WorkspaceError: the worktree cannot be had.
    """
    record, task = claim.record, claim.record.task
    if again := record.generation > 1:
        await end_marked(TASK_MARKER, task.id, since=since)
        await commands.end(task.id)
    if record.place:
        return await workspaces.reopen(task, record.place, session.snapshot)
    if not task.forked_from:
        return await workspaces.create(task, again=again)
    original = await _original(task, tasks)
    if original:
        return await workspaces.fork(task, original, session.snapshot, again=again)
    if session.snapshot:
        raise WorkspaceError(f"the work of {task.forked_from}, from which this task goes on, cannot be found")
    return await workspaces.create(task, again=again)


async def settle_in(
    claim: Claim,
    session: Session,
    log: RunLog,
    workspace: Workspace,
    *,
    scratch: Path,
    environment: Mapping[str, str],
    allow: tuple[str, ...],
) -> Residence:
    """Write down where the work is, put the worktree back where that is needed, and prepare what commands see.

    Args:
        claim: the task.
        session: says whether the worktree has to be put back.
        log: where the place is written down before anything is done there.
        workspace: the worktree.
        scratch: becomes the private directory.
        environment: what commands may inherit from.
        allow: names of variables that they inherit beside the built-in list.

    Raises:
        WorkspaceError: the worktree cannot be put back.
        LeaseLostError, RecordError: its place could not be written down.
        OSError: the private directory cannot be made.
    """
    if claim.record.place is None:
        await log.place(workspace.place)
    if session.rewound or _may_have_lost_files(session, workspace):
        await workspace.restore(session.snapshot)
    tmp = scratch / "tmp"
    await asyncio.to_thread(tmp.mkdir, parents=True, mode=0o700, exist_ok=True)
    extra = {**workspace.environment, TASK_MARKER: claim.record.id, "TMPDIR": str(tmp)}
    return Residence(workspace, clean_environment(environment, allow=allow, extra=extra), scratch)


async def _original(task: Task, tasks: Desk) -> Place | None:
    """Where the task's work begins: that of the task it is a fork of, or of the one that one is a fork of."""
    while task.forked_from:
        record = await tasks.find(task.forked_from.partition(":")[0])
        if record.place:
            return record.place
        task = record.task
    return None


def _may_have_lost_files(session: Session, workspace: Workspace) -> bool:
    """Whether the machine went down, so that files may be lost that the log knows of: the last checkpoint is what holds.

    Not when a call has its result already and no snapshot has its work: that must not be undone.
    """
    return workspace.lost_power and session.turn > 0 and (session.open is None or not session.open.results)


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
