"""The store: a SQLite file that several processes may share."""

import asyncio
import shutil
import tempfile
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path

from kugetsu.events import Event, TaskFinished, TaskHalted
from kugetsu.failpoints import reach
from kugetsu.messages import Message, ToolResult, well_formed
from kugetsu.protocols import (
    Attention,
    Claim,
    Clock,
    Concurrency,
    Effect,
    EffectState,
    Lease,
    NumberedEvent,
    Reserved,
    Spending,
    Submitted,
    SystemClock,
    WorkerInfo,
    WorkerState,
)
from kugetsu.sessions import Entry, LogLine
from kugetsu.storage import changing, claiming, effects, ledger, logs, notes, opening, queries, submitting
from kugetsu.storage.appending import Append
from kugetsu.storage.claiming import claim_task as take_task
from kugetsu.storage.connecting import Access
from kugetsu.storage.gate import SqlGate
from kugetsu.tasks import (
    Budgets,
    Claiming,
    Control,
    Ending,
    Place,
    Run,
    Spent,
    Task,
    TaskRecord,
    TaskReport,
    TaskState,
)


class SqlStore(SqlGate):
    """Keeps everything in one file. Implements `protocols.Store`; made by `open`, for one event loop."""

    @classmethod
    async def open(cls, home: Path, clock: Clock | None = None, *, create: bool = True) -> "SqlStore":
        """Open the database of a state home; it is made if it is missing, and brought to the newest version.

        Args:
            home: the directory; made if it is missing.
            clock: gives the time of leases and of everything else; the machine's by default.
            create: False to make nothing: where there is no database, the store is empty and takes nothing in.
                One that cannot be written to can still be read.

        Raises:
            RecordError: it cannot be made or opened, is no database of Kugetsu, or one of a newer version.
        """
        path = home / opening.DATABASE_NAME
        passing = not create and not await asyncio.to_thread(opening.exists, path)
        if passing:
            path = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="kugetsu-")) / opening.DATABASE_NAME
        access: Access = ""
        if passing:
            await asyncio.to_thread(opening.prepare_empty, path)
        elif create:
            await asyncio.to_thread(opening.prepare, path)
        else:
            access = await asyncio.to_thread(opening.prepare_reading, path)
        return cls(path, clock or SystemClock(), passing=passing, access=access)

    async def close(self) -> None:
        """Write what is under way, and let go. May be called twice; nothing else may be called after it."""
        await self._writer.close()
        await self._readers.close()
        if self._passing:
            await asyncio.to_thread(shutil.rmtree, self.path.parent, ignore_errors=True)

    # What one run may write.

    async def append(
        self,
        lease: Lease,
        entries: Sequence[Entry],
        *,
        events: Sequence[Event] = (),
        taken: Sequence[int] = (),
        headway: bool = False,
        spent: Spent | None = None,
    ) -> None:
        """Add to the end of the task's session, and to its events, in one transaction."""
        append = Append.of(lease, self._now(), entries, events, taken, headway=headway, spent=spent)
        await self._writer.append(append)

    async def reserve(self, lease: Lease, least: Spent, most: Spent, budgets: Budgets) -> Reserved:
        """Set aside, of what is left of today's budgets, what the run may use up until it says what it did."""
        return await self._writer.run(
            lambda connection: ledger.reserve(connection, lease, least, most, budgets, self._now())
        )

    async def place(self, lease: Lease, place: Place) -> None:
        """Write down where the task's work is, before any is done."""
        await self._writer.run(lambda connection: changing.place(connection, lease, place, self._now()))

    async def begin_effect(self, lease: Lease, effect: Effect) -> EffectState:
        """Write down that something is about to be done to the world outside; says what was written down before."""
        return await self._writer.run(lambda connection: effects.begin(connection, lease, effect))

    async def end_effect(self, lease: Lease, effect: Effect) -> None:
        """Write down that it is done."""
        await self._writer.run(lambda connection: effects.end(connection, lease, effect))

    async def settle(
        self,
        lease: Lease,
        ending: Ending,
        *,
        entries: Sequence[Entry] = (),
        events: Sequence[Event] = (),
        spent: Spent | None = None,
    ) -> TaskRecord:
        """End the run: the task is what `ending` says, its lease is gone, its dependents are told."""
        reach("settle.before")
        last = Append.of(lease, self._now(), entries, events, spent=spent)
        record = await self._writer.run(
            lambda connection: changing.settle(connection, lease, ending, last, self._now(), told=_told(events))
        )
        reach("settle.after")
        return record

    # What workers need.

    async def register(self, worker: WorkerInfo, seconds: float) -> None:
        """Give a worker its lease."""
        self._require_home()
        await self._writer.run(
            lambda connection: claiming.register(connection, worker, (now := self._now()) + seconds, now)
        )

    async def renew(self, worker: str, seconds: float) -> None:
        """Extend a worker's lease from now on."""
        await self._writer.run(lambda connection: claiming.renew(connection, worker, self._now() + seconds))

    async def retire(self, worker: str) -> list[str]:
        """End a worker's lease in good order; what it still has is given back."""
        return await self._writer.run(lambda connection: changing.retire(connection, worker, self._now()))

    async def workers(self) -> list[WorkerState]:
        """All workers that are not retired, also those whose lease has expired."""
        return await self._readers.run(queries.workers_now)

    async def reap(self, dead: Collection[str] = ()) -> list[TaskRecord]:
        """Take the tasks of workers whose lease has expired, or who are known to be dead."""
        reach("reap.before")
        gone = tuple(dead)
        records = await self._writer.run(lambda connection: changing.reap(connection, gone, self._now()))
        reach("reap.after")
        return records

    async def claim(self, worker: str, most: int, limits: Concurrency | None = None) -> list[Claim]:
        """Take the tasks that are next: the lowest rank first, then the lowest number."""
        reach("claim.before")
        claims = await self._writer.run(
            lambda connection: claiming.claim(connection, worker, most, limits or Concurrency(), self._now())
        )
        reach("claim.after")
        return claims

    async def claim_task(self, worker: str, task: str, claiming: Claiming = "name") -> Claim:
        """Take one task, whatever its place in the queue; its time need not have come."""
        reach("claim.before")
        claim = await self._writer.run(
            lambda connection: take_task(connection, worker, well_formed(task), claiming, self._now())
        )
        reach("claim.after")
        return claim

    async def next_start(self) -> float | None:
        """When the next task that waits for its time alone may start; None when there is none."""
        return await self._readers.run(queries.next_start)

    async def attention(self, worker: str) -> list[Attention]:
        """The worker's running tasks of which somebody wants something that is not done yet."""
        return await self._readers.run(lambda connection: notes.attention_for(connection, worker))

    # What users and gateways need.

    async def submit(
        self,
        task: Task,
        *,
        key: str = "",
        most_pending: int = 0,
        worker: str = "",
        session: Sequence[Entry] = (),
    ) -> Submitted:
        """Take in a task. It is accepted when this returns."""
        reach("submit.before")
        submitting.require_id(task.id)
        task.require_well_formed()
        self._require_home()
        submission = submitting.Submission(
            task=task, key=key, most_pending=most_pending, worker=worker, session=tuple(session)
        )
        submitted = await self._writer.run(lambda connection: submitting.submit(connection, submission, self._now()))
        reach("submit.after")
        return submitted

    async def control(self, task: str, control: Control) -> TaskRecord:
        """Do what a user asks for."""
        return await self._writer.run(
            lambda connection: changing.control(connection, well_formed(task), control, self._now())
        )

    async def find(self, prefix: str) -> TaskRecord:
        """Look up the one task whose id starts so; or, for the name of an issue, the newest about it."""
        return await self._readers.run(partial(queries.find, prefix=prefix))

    async def reports(self, *, states: Collection[TaskState] = (), most: int = 0, before: int = 0) -> list[TaskReport]:
        """Tasks, newest first; damaged ones are left out: see `check`."""
        return await self._readers.run(partial(queries.reports, states=tuple(states), most=most, before=before))

    async def counts(self) -> dict[TaskState, int]:
        """How many tasks are in each state; every state is named."""
        return await self._readers.run(queries.counts)

    async def events(self, task: str, *, after: int = 0, most: int = 0) -> list[Event]:
        """A task's events, oldest first, from the one that follows number `after`; `most` 0 for all."""
        return await self._readers.run(partial(logs.events_of, task=well_formed(task), after=after, most=most))

    async def feed(self, *, after: int = 0, most: int = 0) -> list[NumberedEvent]:
        """The events of all tasks, from the one that follows number `after`; damaged ones are left out: see `check`."""
        return await self._readers.run(partial(logs.feed, after=after, most=most))

    async def last_event(self) -> int:
        """The number of the last event of all; 0 when there is none."""
        return await self._readers.run(logs.last_of_all)

    async def session(self, task: str) -> list[LogLine]:
        """A task's session, oldest first."""
        return await self._readers.run(partial(logs.session_of, task=well_formed(task)))

    async def result(self, task: str, call: str) -> ToolResult | None:
        """What a call of a task's session gave."""
        return await self._readers.run(partial(logs.result_of, task=well_formed(task), call=call))

    async def turn(self, task: str, number: int) -> list[Message]:
        """A reply of a task's session and the results of its calls."""
        return await self._readers.run(partial(logs.turn_of, task=well_formed(task), number=number))

    async def spending(self, day: str) -> list[Spending]:
        """What was used up on a day (UTC, as `2026-01-31`), repository by repository."""
        return await self._readers.run(partial(ledger.spending_on, day=well_formed(day)))

    async def runs(self, task: str) -> list[Run]:
        """A task's runs, oldest first."""
        return await self._readers.run(partial(queries.runs_of, task=well_formed(task)))


def _told(events: Sequence[Event]) -> TaskState | None:
    """The state in which the last events of a run say that it leaves its task; None when they say nothing."""
    return next((event.state for event in reversed(events) if isinstance(event, TaskHalted | TaskFinished)), None)
