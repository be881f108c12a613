"""What a user does with tasks: take them up again, put them back, branch off from them, and tell them things."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

import msgspec

from kugetsu.app.house import House
from kugetsu.app.records import some_serve
from kugetsu.concurrency import finish
from kugetsu.engine import reap
from kugetsu.errors import MissingKeyError, StateConflictError, UsageError, WorkspaceError
from kugetsu.messages import user
from kugetsu.processes import end_marked
from kugetsu.protocols import Claim, Submitted
from kugetsu.sessions import Checkpoint, Entry, Forked, Heard, LogLine, Replied, Rewound, read_session
from kugetsu.shadows import TASK_MARKER, Shadow
from kugetsu.tasks import Changes, Ending, Limits, Outcome, Resume, Task, TaskRecord, TaskReport, new_task_id


async def find(house: House, prefix: str) -> TaskRecord:
    """Look up a task by the beginning of its id; tasks of workers that are known to be dead are freed before.

    Raises:
        TaskNotFoundError: there is none, or several.
        RecordError: the store cannot be used.
    """
    await reap(house.store, house.presences, house.clock.now())
    return await house.store.find(prefix)


async def require_room(house: House) -> None:
    """Make sure that a task may start in a process of its own, beside all that run already in whatever processes.

    Raises:
        QueueFullError: it may not; says why and when to come back.
        RecordError: the store cannot be used.
    """
    await reap(house.store, house.presences, house.clock.now())
    running = (await house.store.counts()).get("running", 0)
    house.capacity.gate.require_room_for_task(running)


async def is_served(house: House) -> bool:
    """Whether a worker lives that takes tasks from the queue.

    Raises:
        RecordError: the store cannot be read.
    """
    return some_serve(await house.store.workers(), house.presences, house.clock.now())


async def submit(house: House, task: Task, *, key: str = "", session: Sequence[Entry] = ()) -> Submitted:
    """Put a task into the queue, and tell the workers.

    Raises:
        ConfigError: its model cannot be used: none is named, unknown provider.
        RepositoryError: its repository or base cannot be used.
        QueueFullError: there is no room; says how long to wait.
        StateConflictError: see `protocols.Desk.submit`.
        RecordError: the store cannot be used.
    """
    if not task.prompt.strip():
        raise UsageError("the task has no prompt", fix="say what is to be done")
    with suppress(MissingKeyError):  # keys are those of whoever does the task
        house.require_runnable(task)
    await house.workspaces.verify(task)
    submitted = await house.store.submit(task, key=key, most_pending=house.settings.queue.most_pending, session=session)
    house.presences.call_all()
    return submitted


async def new_limits(house: House, prefix: str, changes: Mapping[str, float]) -> Limits | None:
    """The limits of a task with some of them changed; None when none is.

    Raises:
        TaskNotFoundError: there is none, or several.
        UsageError: a limit cannot be so.
        RecordError: the store cannot be used.
    """
    if not changes:
        return None
    now = msgspec.structs.asdict((await find(house, prefix)).task.limits)
    try:
        return msgspec.convert({**now, **changes}, Limits, strict=False)
    except ValueError as error:
        raise UsageError(f"limits: {error}") from error


async def resume(house: House, prefix: str, changes: Mapping[str, float] | None = None) -> Shadow:
    """Take a task up again in this process: one that was interrupted, paused, or has got its answer.

    Args:
        house: where the task is.
        prefix: the beginning of its id.
        changes: limits that it has from now on, by name.

    Raises:
        TaskNotFoundError: there is none, or several.
        StateConflictError: it is over, waits for an answer, or somebody else works on it.
        ConfigError: its model cannot be used.
        RecordError: the store cannot be used.
    """
    record = await find(house, prefix)
    if record.state == "running":
        raise StateConflictError(
            f"task {record.id} is being worked on by {await _worker_of(house, record)}",
            fix="`kugetsu logs` shows what it does",
        )
    if record.wanted != "cancel":
        house.shadow(record.task)  # refuses what could never run, before anything is changed
        limits = await new_limits(house, record.id, changes or {})
        record = await house.store.control(record.id, Resume(limits))
    if record.waits_for_answer:
        raise StateConflictError(
            f"task {record.id} waits for an answer: {record.question}", fix=f"kugetsu answer {record.id} TEXT"
        )
    return house.shadow_of(await _claim(house, record))


async def finish_cancel(house: House, record: TaskRecord) -> TaskReport | None:
    """Bring home the work of a task that is to be cancelled and that nobody works on; None when somebody else does."""
    try:
        shadow = house.shadow_of(await _claim(house, record))
    except StateConflictError:
        return None
    return await house.worker.run(shadow)


async def rewind(house: House, prefix: str, turn: int) -> TaskRecord:
    """Put a task back to the end of a turn, session and worktree; it is paused then.

    Args:
        house: where the task is.
        prefix: the beginning of its id.
        turn: the last one that counts; 0 for none.

    Raises:
        TaskNotFoundError: there is none, or several.
        StateConflictError: there is no such turn, or somebody works on the task.
        WorkspaceError, RepositoryError: the worktree cannot be put back; nothing was changed.
        RecordError: the store cannot be used, or the session is damaged.
    """
    record = await find(house, prefix)
    snapshot = snapshot_after(record, await house.store.session(record.id), turn)
    worker = await house.worker.ready()
    claim = await house.store.claim_task(worker.id, record.id, "rewind")
    return await finish(_put_back(house, claim, record, Rewound(turn, snapshot)))


async def _put_back(house: House, claim: Claim, before: TaskRecord, rewound: Rewound) -> TaskRecord:
    """Put back a task that is ours, to the end: session first, so that a crash is followed by the worktree."""
    ending = Ending(
        state=before.state,
        outcome=before.outcome or Outcome("interrupted", "it was to be put back"),
        report=before.report,
        attempts=before.attempts,
        available_at=before.available_at,
        question=before.question,
    )
    try:
        await end_marked(TASK_MARKER, before.id)
        await house.commands.end(before.id)
        workspace = None
        if before.place:
            await _require_snapshots(house, before, rewound.snapshot)
            workspace = await house.workspaces.reopen(before.task, before.place, rewound.snapshot)
            if not await workspace.holds(rewound.snapshot):
                raise WorkspaceError(
                    f"the worktree of task {before.id} after turn {rewound.turn} was not kept that long",
                    fix="take a later turn",
                )
        # An answer that waits was to a question that may not be asked again.
        answers = [note.id for note in claim.notes if note.kind == "answer"]
        await house.store.append(claim.lease, [rewound], taken=answers)
        ending = Ending(
            state="paused",
            outcome=Outcome("paused", f"rewound to turn {rewound.turn}"),
            report=msgspec.structs.replace(
                before.report.with_changes(Changes()), check=None, notes=before.task.notices
            ),
            attempts=before.attempts,
        )
        if workspace:
            await workspace.restore(rewound.snapshot)
    finally:
        record = await house.store.settle(claim.lease, ending)
    return record


async def fork(house: House, prefix: str, turn: int, prompt: str, *, queued: bool = False) -> tuple[Task, list[Entry]]:
    """Make a task that goes on from the end of a turn of another one, with other instructions.

    Args:
        house: where the task is.
        prefix: the beginning of its id.
        turn: the last one that the new task begins with; 0 for none.
        prompt: the other instructions.
        queued: as for `House.task`.

    Returns:
        The task, and what its session begins with.

    Raises:
        TaskNotFoundError: there is none, or several.
        StateConflictError: there is no such turn.
        UsageError: there are no instructions.
        WorkspaceError: the snapshots of the task were removed.
        RecordError: the store cannot be used, or the session is damaged.
    """
    if not prompt.strip():
        raise UsageError("the fork has no instructions", fix="say what is to be done from there on")
    record = await find(house, prefix)
    lines = await house.store.session(record.id)
    await _require_snapshots(house, record, snapshot_after(record, lines, turn))
    queue = house.settings.queue
    entries = [*_until(lines, turn), Forked(record.id), Heard(user(prompt, "follow_up"))]
    task = msgspec.structs.replace(
        record.task,
        id=new_task_id(),
        prompt=prompt,
        created_at=house.clock.now(),
        forked_from=f"{record.id}:{turn}",
        after=(),
        start_at=0.0,
        deadline_at=0.0,
        attempts=queue.attempts if queued else 1,
        patience_seconds=queue.patience_seconds if queued else 0.0,
    )
    return task, entries


async def _require_snapshots(house: House, record: TaskRecord, snapshot: str) -> None:
    """Look whether the snapshots of a task are still there, if one is needed.

    Raises:
        WorkspaceError: they were removed with all that the task left behind but its branch.
    """
    if snapshot and record.place and not await house.workspaces.remembers(record.id, record.place):
        raise WorkspaceError(
            f"the snapshots of task {record.id} are gone: they were pruned to free disk space",
            fix=f"a new task goes on from its branch: kugetsu run --base {record.place.branch} PROMPT",
        )


def snapshot_after(record: TaskRecord, lines: Sequence[LogLine], turn: int) -> str:
    """The snapshot of the worktree after a turn that counts.

    Raises:
        StateConflictError: there is no such turn; the message says which there are.
        RecordError: the session is damaged.
    """
    turns = read_session(lines).turns()
    if turn not in turns:
        known = f"its turns are {_ranges(turns)}" if turns else "it has no turns yet"
        raise StateConflictError(f"task {record.id} has no turn {turn} to go back to", fix=known)
    closed = (line.entry for line in reversed(lines) if isinstance(line.entry, Checkpoint))
    return next((entry.snapshot for entry in closed if entry.turn == turn), "")


def _ranges(turns: Sequence[int]) -> str:
    """Numbers in rising order, neighbours taken together."""
    parts: list[list[int]] = []
    for turn in turns:
        if parts and parts[-1][-1] == turn - 1:
            parts[-1].append(turn)
        else:
            parts.append([turn])
    return ", ".join(f"{part[0]} to {part[-1]}" if len(part) > 1 else str(part[0]) for part in parts)


def _until(lines: Sequence[LogLine], turn: int) -> list[Entry]:
    """The entries up to the end of a turn."""
    entries = [line.entry for line in lines]
    if turn == 0:
        first = next(place for place, entry in enumerate(entries) if isinstance(entry, Replied))
        return entries[:first]
    return entries[
        : 1 + max(i for i, entry in enumerate(entries) if isinstance(entry, Checkpoint) and entry.turn == turn)
    ]


async def _claim(house: House, record: TaskRecord) -> Claim:
    worker = await house.worker.ready()
    return await house.store.claim_task(worker.id, record.id)


async def _worker_of(house: House, record: TaskRecord) -> str:
    workers = {state.info.id: state.info for state in await house.store.workers()}
    info = workers.get(record.worker)
    return f"{info.name} (process {info.pid})" if info else "another worker"
