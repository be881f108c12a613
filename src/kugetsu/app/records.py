"""What is known of tasks, for whoever asks: the reading half of `protocols.TaskService`, on the store of this machine."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from kugetsu.engine import Presences, reap
from kugetsu.errors import RecordError, UsageError
from kugetsu.events import Event
from kugetsu.protocols import (
    MADE_UP_KEY,
    Clock,
    Delivery,
    DeliveryState,
    NumberedEvent,
    PastRun,
    ShadowInfo,
    Stats,
    Store,
    TaskDetails,
    TaskDiff,
    TaskPage,
    WorkerName,
    WorkerState,
)
from kugetsu.sessions import LogLine, Session
from kugetsu.tasks import Run, TaskRecord, TaskState
from kugetsu.workspace import branch_diff

SERVING: Final = "kugetsu serve"
"""Name of workers that take tasks from the queue; others do only the one they were started for."""

LOOK_SECONDS: Final = 0.2
"""How often it is looked whether something happened."""

FREE_SECONDS: Final = 1.0
"""How often it is looked, while somebody asks, whether the workers of tasks still live."""


def some_serve(workers: Collection[WorkerState], presences: Presences, now: float) -> bool:
    """Whether one of these workers lives and takes tasks from the queue; `now` is in seconds since the epoch."""
    return any(
        state.info.name == SERVING and state.expires_at > now and not presences.is_gone(state.info) for state in workers
    )


def has_halted(record: TaskRecord) -> bool:
    """Whether nothing happens any more, unless somebody takes the task up again. What is new waits for its first run."""
    return record.state != "running" and not (record.state == "pending" and record.runs == 0)


class Records:
    """Reads what is kept of tasks. Tasks of workers that are dead are freed on the way, where that can be written down.

    Args:
        store: where they are.
        home: the state directory.
        environ: where git gets its variables from.
        presences: who works on this machine.
        clock: time.
    """

    def __init__(
        self, store: Store, home: Path, environ: Mapping[str, str], presences: Presences, clock: Clock
    ) -> None:
        self._store = store
        self._home = home
        self._environ = environ
        self._presences = presences
        self._clock = clock
        self._freed = float("-inf")
        self._workers: Sequence[WorkerState] = ()
        self._looked = float("-inf")

    async def show(self, task: str) -> TaskDetails:
        """Everything that is known of a task, as it is now; see `protocols.TaskService`."""
        await self._free_tasks_of_the_dead()
        return await self._details(await self._current(await self._store.find(task)))

    async def list(self, *, states: Collection[TaskState] = (), most: int = 50, before: int = 0) -> TaskPage:
        """Tasks, newest first; see `protocols.TaskService`."""
        await self._free_tasks_of_the_dead()
        reports = await self._store.reports(states=states, most=most + 1, before=before)
        shown = tuple(reports[:most])
        return TaskPage(shown, shown[-1].number if len(reports) > most else 0)

    async def events(self, task: str, *, after: int = 0, follow: bool = False) -> AsyncIterator[Event]:
        """What happened in a task, oldest first; see `protocols.TaskService`."""
        task = (await self._store.find(task)).id
        while True:
            record = await self._store.find(task)  # before its events: when it is over, those are all
            for event in await self._store.events(task, after=after):
                after = event.seq
                yield event
            if not follow or has_halted(record):
                return
            await self._free_tasks_of_the_dead()
            await asyncio.sleep(LOOK_SECONDS)

    async def feed(self, *, after: int | None = None) -> AsyncIterator[NumberedEvent]:
        """What happens in all tasks, without an end; see `protocols.TaskService`."""
        last = await self._store.last_event() if after is None else after
        while True:
            for event in await self._store.feed(after=last, most=1_000):
                last = event.number
                yield event
            await asyncio.sleep(LOOK_SECONDS)

    async def session(self, task: str) -> Sequence[LogLine]:
        """The log of a task's conversation, oldest first."""
        return await self._store.session((await self._store.find(task)).id)

    async def diff(self, task: str) -> TaskDiff:
        """What a task changed; see `protocols.TaskService`."""
        record = await self._store.find(task)
        if record.place is None:
            if record.final:
                raise UsageError(f"the task {record.id} has no branch: it ended before its worktree was made")
            raise UsageError(
                f"the task {record.id} has no branch yet: it was not started", fix="`kugetsu show` says why"
            )
        base, branch = record.place.base, record.place.branch
        patch = await branch_diff(self._home, record.report.repo, base, branch, self._environ)
        return TaskDiff(record.id, base, branch, patch.decode("utf-8", "replace"))

    async def shadows(self) -> Sequence[ShadowInfo]:
        """Which shadows live in this program: none, it only reads."""
        return []

    async def stats(self) -> Stats:
        """How things stand."""
        await self._free_tasks_of_the_dead()
        return Stats(
            tasks=await self._store.counts(),
            deliveries=await self._store.delivery_counts(),
            served=some_serve(await self._workers_now(), self._presences, self._clock.now()),
        )

    async def deliveries(
        self, *, states: Collection[DeliveryState] = (), most: int = 50, before: int = 0
    ) -> Sequence[Delivery]:
        """News that go out, newest first."""
        return await self._store.deliveries(states=states, most=most, before=before)

    async def _details(self, record: TaskRecord) -> TaskDetails:
        """A record as users see it."""
        task, workers = record.task, await self._workers_now(record.worker)
        names = {state.info.id: WorkerName(state.info.name, state.info.pid) for state in workers}
        past = await self._store.runs(record.id) if record.runs else []
        return TaskDetails(
            **msgspec.structs.asdict(record.shown),
            key="" if record.key.startswith(MADE_UP_KEY) else record.key,
            after=task.after,
            deadline_at=task.deadline_at,
            forked_from=task.forked_from,
            most_attempts=task.attempts,
            wanted=record.wanted,
            wanted_reason=record.reason,
            worker=names.get(record.worker),
            worktree=record.place.path if record.place else "",
            limits=task.limits,
            reply_to=task.reply_to,
            run_history=tuple(_past(run, names) for run in past),
            served=some_serve(workers, self._presences, self._clock.now()),
        )

    async def _current(self, record: TaskRecord) -> TaskRecord:
        """A task as it is at this moment: its report is that of its last run that came to an end, its session may say more."""
        if not record.runs or (record.final and not (record.outcome and record.outcome.kind == "poisonous")):
            return record
        report = record.report
        if record.place:
            report = msgspec.structs.replace(report, base=record.place.base, branch=record.place.branch)
        with suppress(ValueError, RecordError):  # a damaged session is for `logs --full` and the doctor
            report = Session(line.entry for line in await self._store.session(record.id)).tally.on(report)
        return msgspec.structs.replace(record, report=report)

    async def _workers_now(self, needed: str = "") -> Sequence[WorkerState]:
        """Who works; as it was a moment ago, when many ask. One who is needed is looked for."""
        now = self._clock.monotonic()
        known = not needed or any(state.info.id == needed for state in self._workers)
        if now - self._looked > LOOK_SECONDS or not known:
            self._workers, self._looked = await self._store.workers(), now
        return self._workers

    async def _free_tasks_of_the_dead(self) -> None:
        """Take the tasks of workers that are gone, where that can be written down: they are running no longer."""
        if self._clock.monotonic() - self._freed < FREE_SECONDS:
            return
        self._freed = self._clock.monotonic()
        with suppress(RecordError):
            await reap(self._store, self._presences, self._clock.now())


def _past(run: Run, names: Mapping[str, WorkerName]) -> PastRun:
    return PastRun(run.started_at, run.ended_at, run.outcome, names.get(run.worker))
