"""The part of a store in memory that workers and their runs use."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import count
from typing import Final

import msgspec

from kugetsu.errors import LeaseLostError
from kugetsu.events import Event, TaskFinished, TaskHalted
from kugetsu.protocols import (
    Attention,
    Claim,
    Clock,
    Concurrency,
    Effect,
    EffectState,
    Lease,
    Reserved,
    WorkerInfo,
    WorkerState,
)
from kugetsu.sessions import Entry
from kugetsu.tasks import (
    Budgets,
    Claiming,
    Ending,
    Outcome,
    Place,
    Spent,
    TaskRecord,
    TaskState,
    claimed,
    expired,
    given_back,
    orphaned,
    overdue,
    placed,
    redacted,
    settled,
)
from kugetsu.testing.ledger import Ledger
from kugetsu.testing.outbox import MemoryOutbox
from kugetsu.testing.shelf import Kept

_RECENT: Final = 50
"""So many starts of tasks say how fast the queue moves."""

_NO_LIMITS: Final = Concurrency()


class MemoryQueue(MemoryOutbox):
    """What workers need, and what a run may write. Implements `protocols.Queue` and `protocols.Runs`."""

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__(clock)
        self._ledger = Ledger(self._shelf.holds)
        self._workers: dict[str, WorkerState] = {}
        self._keys: dict[str, str] = {}
        self._starts: list[float] = []
        self._numbers = count(1)
        self._note_ids = count(1)

    # What a run may write.

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
        """Add to a task's session and events; see `protocols.Runs`."""
        kept = self._shelf.held(lease)
        self._shelf.tell(kept, events)
        kept.extend(self._clock.now(), entries)
        self._ledger.book(lease, kept.repo, spent, self._clock.now())
        kept.notes = [note for note in kept.notes if note.id not in taken]
        if headway:
            kept.record = msgspec.structs.replace(kept.record, crashes=0)

    async def reserve(self, lease: Lease, least: Spent, most: Spent, budgets: Budgets) -> Reserved:
        """Set aside what the run may use up; see `protocols.Runs`."""
        repo = self._shelf.held(lease).repo
        return self._ledger.reserve(lease, repo, least, most, budgets, self._clock.now())

    async def place(self, lease: Lease, place: Place) -> None:
        """Write down where the task's work is; see `protocols.Runs`."""
        kept = self._shelf.held(lease)
        kept.record = placed(kept.record, place)

    async def begin_effect(self, lease: Lease, effect: Effect) -> EffectState:
        """Write down what is about to be done; see `protocols.Runs`."""
        effects, name = self._shelf.held(lease).effects, (effect.turn, effect.call)
        if name not in effects:
            effects[name] = (effect, "begun")
            return "new"
        return effects[name][1]

    async def end_effect(self, lease: Lease, effect: Effect) -> None:
        """Write down that it is done; see `protocols.Runs`."""
        effects, name = self._shelf.held(lease).effects, (effect.turn, effect.call)
        first = effects[name][0] if name in effects else effect
        effects[name] = (first, "done")

    async def settle(
        self,
        lease: Lease,
        ending: Ending,
        *,
        entries: Sequence[Entry] = (),
        events: Sequence[Event] = (),
        spent: Spent | None = None,
    ) -> TaskRecord:
        """End the run; see `protocols.Runs`."""
        kept = self._shelf.held(lease)
        record, now = settled(kept.record, ending), self._clock.now()
        self._shelf.tell(kept, events)
        kept.extend(now, entries)
        self._ledger.book(lease, kept.repo, spent, now)
        kept.end_run(ending.outcome, now)
        self._shelf.put(kept, record, now, told=_told(events))
        return record

    # What workers need.

    async def register(self, worker: WorkerInfo, seconds: float) -> None:
        """Give a worker its lease."""
        self._workers[worker.id] = WorkerState(worker, self._clock.now() + seconds)

    async def renew(self, worker: str, seconds: float) -> None:
        """Extend a worker's lease, also one that has expired unless somebody has reaped it."""
        self._workers[worker] = WorkerState(self._worker(worker), self._clock.now() + seconds)

    async def retire(self, worker: str) -> list[str]:
        """End a worker's lease in good order."""
        self._workers.pop(worker, None)
        left, now = self._running(worker), self._clock.now()
        for kept in left:
            record = given_back(kept.record)
            kept.end_run(Outcome("interrupted", "its worker stopped"), now)
            self._shelf.put(kept, record, now)
        return [kept.record.id for kept in left]

    async def workers(self) -> list[WorkerState]:
        """All workers that were neither retired nor reaped."""
        return list(self._workers.values())

    async def reap(self, dead: Collection[str] = ()) -> list[TaskRecord]:
        """Take the tasks of workers that are dead, or whose lease has expired."""
        now = self._clock.now()
        gone = [name for name, state in self._workers.items() if state.expires_at <= now or name in dead]
        for worker in gone:
            del self._workers[worker]
        left: list[Kept] = []
        for worker in gone:
            mine = self._running(worker)
            if worker in dead:
                told = {kept.record.id: kept.evidence for kept in mine}
                orphans = orphaned([kept.record for kept in mine], now=now, evidence=told)
            else:
                orphans = [overdue(kept.record) for kept in mine]
            why = "its worker died" if worker in dead else "its worker was not heard of in time"
            for kept, orphan in zip(mine, orphans, strict=True):
                kept.end_run(Outcome("interrupted", why), now)
                self._shelf.put(kept, orphan, now)
            left += mine
        left.sort(key=lambda kept: kept.record.number)
        return [kept.record for kept in left]

    async def claim(self, worker: str, most: int, limits: Concurrency | None = None) -> list[Claim]:
        """Take the tasks that are next; see `protocols.Queue`."""
        info = self._worker(worker)
        self._expire()
        now = self._clock.now()
        queue = [kept for kept in self._shelf.all() if kept.record.queued and kept.record.available_at <= now]
        room = _Room(
            limits or _NO_LIMITS, (kept.record for kept in self._shelf.all() if kept.record.state == "running")
        )
        claims: list[Claim] = []
        for kept in sorted(queue, key=lambda kept: (kept.record.rank, kept.record.number)):
            if len(claims) < most and room.holds(kept.record):
                room.take(kept.record)
                claims.append(self._begin(kept, info, "queue"))
        return claims

    async def claim_task(self, worker: str, task: str, claiming: Claiming = "name") -> Claim:
        """Take one task, whatever its place in the queue."""
        info = self._worker(worker)
        return self._begin(self._shelf.get(task), info, claiming)

    async def next_start(self) -> float | None:
        """When the next task that waits for its time alone may start."""
        now = self._clock.now()
        records = [kept.record for kept in self._shelf.all()]
        times = (record.available_at for record in records if record.queued)
        return min((time for time in times if time > now), default=None)

    async def attention(self, worker: str) -> list[Attention]:
        """The worker's tasks of which somebody wants something."""
        return [
            Attention(record.id, record.generation, record.wanted, record.reason, tuple(kept.notes))
            for kept in self._running(worker)
            if (record := kept.record).wanted or kept.notes
        ]

    def _worker(self, worker: str) -> WorkerInfo:
        if worker not in self._workers:
            raise LeaseLostError(f"the worker {worker} has no lease")
        return self._workers[worker].info

    def _running(self, worker: str) -> list[Kept]:
        return [kept for kept in self._shelf.all() if kept.record.state == "running" and kept.record.worker == worker]

    def _begin(self, kept: Kept, worker: WorkerInfo, claiming: Claiming) -> Claim:
        now = self._clock.now()
        self._shelf.put(kept, claimed(kept.record, worker.id, claiming=claiming), now)
        self._starts = [*self._starts, now][-_RECENT:]
        return kept.begin_run(worker.id, now, run=claiming != "rewind")

    def _expire(self) -> None:
        """Fail what was never started before its deadline."""
        now = self._clock.now()
        for kept in self._shelf.all():
            deadline = kept.record.task.deadline_at
            if kept.record.state == "pending" and not kept.record.runs and 0 < deadline <= now:
                self._shelf.put(kept, expired(kept.record), now)


def _told(events: Sequence[Event]) -> TaskState | None:
    """The state in which the last events of a run say that it leaves its task; None when they say nothing."""
    return next((event.state for event in reversed(events) if isinstance(event, TaskHalted | TaskFinished)), None)


class _Room:
    """How much room the limits leave beside what is running."""

    def __init__(self, limits: Concurrency, running: Iterable[TaskRecord]) -> None:
        self._limits = limits
        self._repositories: Counter[str] = Counter()
        self._models: Counter[str] = Counter()
        for record in running:
            self.take(record)

    def take(self, record: TaskRecord) -> None:
        """A task runs."""
        self._repositories[redacted(record.task.repo)] += 1
        self._models[record.task.model] += 1

    def holds(self, record: TaskRecord) -> bool:
        """Whether a task may run now; one that is only brought home to be cancelled always may."""
        if record.wanted == "cancel":
            return True
        repo, model = redacted(record.task.repo), record.task.model
        if model in self._limits.closed:
            return False
        of_repo = self._limits.repositories.get(repo, self._limits.repository)
        of_model = self._limits.models.get(model, self._limits.model)
        return not (0 < of_repo <= self._repositories[repo] or 0 < of_model <= self._models[model])
