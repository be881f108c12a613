"""What a store in memory keeps: the tasks, and what each of them touches in others."""

import re
from collections.abc import Iterable, Sequence
from itertools import count, pairwise
from typing import Final

import msgspec

from kugetsu.errors import LeaseLostError, RecordError, StateConflictError, TaskNotFoundError
from kugetsu.events import Event, TaskMoved
from kugetsu.protocols import Change, Claim, Effect, EffectState, Lease, NumberedEvent
from kugetsu.sessions import Checkpoint, Entry, Finished, LogLine, Replied, Rewound, Started
from kugetsu.tasks import (
    Note,
    Outcome,
    Run,
    Subject,
    TaskRecord,
    TaskState,
    blocked_for_good,
    parse_subject,
    redacted,
    unblocked,
)

TASK_ID: Final = re.compile(r"[A-Za-z0-9_]{1,64}")


class Kept(msgspec.Struct):
    """A task with all that belongs to it.

    Attributes:
        waits_for: the tasks that must be completed before.
        log: its session.
        notes: what no run has taken yet.
        note_keys: names of all notes that there ever were.
    """

    record: TaskRecord
    waits_for: set[str] = msgspec.field(default_factory=set)
    log: list[LogLine] = msgspec.field(default_factory=list)
    events: list[Event] = msgspec.field(default_factory=list)
    notes: list[Note] = msgspec.field(default_factory=list)
    note_keys: set[str] = msgspec.field(default_factory=set)
    effects: dict[tuple[int, str], tuple[Effect, EffectState]] = msgspec.field(default_factory=dict)
    runs: list[Run] = msgspec.field(default_factory=list)

    @property
    def repo(self) -> str:
        """Its repository, as it is shown."""
        return redacted(self.record.task.repo)

    @property
    def last_event(self) -> int:
        """The number of its last event."""
        return self.events[-1].seq if self.events else 0

    @property
    def evidence(self) -> str:
        """What it was doing when it was last heard of, for the case that it kills its workers."""
        finished: set[str] = set()
        started: set[str] = set()
        for line in reversed(self.log):
            match line.entry:
                case Started(_, calls):
                    started |= set(calls)
                case Finished(_, result):
                    finished.add(result.call_id)
                case Replied(turn, message):
                    names = ", ".join(call.name for call in message.calls if call.id in started - finished)
                    return f"in turn {turn}{names and f', in {names}'}"
                case Checkpoint(turn) | Rewound(turn):
                    return f"after turn {turn}"
                case _:
                    continue
        return "before its first reply"

    def require_following(self, events: Sequence[Event]) -> None:
        """Look whether events may follow the last one.

        Raises:
            RecordError: their numbers do not.
        """
        numbers = [self.last_event, *(event.seq for event in events)]
        for before, number in pairwise(numbers):
            if number <= before:
                raise RecordError(f"event {number} of task {self.record.id} cannot follow event {before}")

    def extend(self, now: float, entries: Iterable[Entry]) -> None:
        """Add to the end of the session."""
        for entry in entries:
            self.log.append(LogLine(len(self.log) + 1, now, entry))

    def begin_run(self, worker: str, now: float, *, run: bool) -> Claim:
        """A worker got it. A claim that is no run, as for a rewind, leaves no trace among the runs."""
        if run:
            self.runs.append(Run(generation=self.record.generation, worker=worker, started_at=now))
        return Claim(
            record=self.record,
            notes=tuple(self.notes),
            last_event=self.last_event,
        )

    def end_run(self, outcome: Outcome, now: float) -> None:
        """The run that goes on, if there is one, is over."""
        if self.runs and self.runs[-1].ended_at is None:
            self.runs[-1] = msgspec.structs.replace(self.runs[-1], ended_at=now, outcome=outcome)


class Shelf:
    """All tasks, in order of arrival; and what went on, in its order.

    Attributes:
        changes: of states, of which nobody was told.
        feed: the events of all tasks.
    """

    def __init__(self) -> None:
        self._tasks: dict[str, Kept] = {}
        self._change_ids = count(1)
        self.changes: dict[int, Change] = {}
        self.feed: list[NumberedEvent] = []

    def __contains__(self, task: str) -> bool:
        return task in self._tasks

    def all(self) -> list[Kept]:
        """All of them."""
        return list(self._tasks.values())

    def add(self, kept: Kept) -> None:
        """A task came in."""
        self._tasks[kept.record.id] = kept

    def get(self, task: str) -> Kept:
        """A task by its whole id."""
        if task not in self._tasks:
            raise TaskNotFoundError(f"there is no task {task!r}", fix="`kugetsu list` shows all tasks")
        return self._tasks[task]

    def held(self, lease: Lease) -> Kept:
        """A task that a run may write to."""
        if not self.holds(lease):
            raise LeaseLostError(f"the lease {lease.generation} of task {lease.task} is over")
        return self._tasks[lease.task]

    def holds(self, lease: Lease) -> bool:
        """Whether a run still has its task."""
        kept = self._tasks.get(lease.task)
        return kept is not None and (kept.record.state, kept.record.generation) == ("running", lease.generation)

    def starting_with(self, prefix: str) -> Kept:
        """A task by the beginning of its id; the whole id of one may be the beginning of another's."""
        found = [task for task in self._tasks if prefix and task.startswith(prefix)]
        if prefix not in found and len(found) != 1:
            how_many = f"{len(found)} tasks start" if found else "no task starts"
            raise TaskNotFoundError(f"{how_many} with {prefix!r}", fix="`kugetsu list` shows all tasks")
        return self._tasks[prefix if prefix in found else found[0]]

    def blockers(self, after: Sequence[str]) -> set[str]:
        """Which tasks must still be completed.

        Raises:
            StateConflictError: one of them does not exist, or never will be.
        """
        for task in after:
            if task not in self._tasks:
                raise StateConflictError(f"there is no task {task!r} to wait for")
            if (state := self._tasks[task].record.state) in {"failed", "cancelled"}:
                raise StateConflictError(f"task {task} is {state}: what waits for it would never start")
        return {task for task in after if self._tasks[task].record.state != "completed"}

    def about(self, subject: Subject) -> Kept:
        """The newest task about something."""
        found: dict[str, Kept] = {}
        for kept in self._tasks.values():
            named = parse_subject(kept.record.task.subject)
            if named and _of_any_host(named) == _of_any_host(subject) and subject.host in {"", named.host}:
                found[named.host] = kept
        if len(found) != 1:
            which = " or ".join(sorted(f"{host}/{subject}" if host else str(subject) for host in found))
            what = f"{subject} may be {which}" if found else f"no task is about {subject}"
            raise TaskNotFoundError(what, fix="`kugetsu list` shows all tasks")
        return found.popitem()[1]

    def tell(self, kept: Kept, events: Sequence[Event]) -> None:
        """Add to the end of a task's events; all or nothing.

        Raises:
            RecordError: their numbers do not follow the last one.
        """
        kept.require_following(events)
        kept.events += events
        self.feed += [NumberedEvent(number, event) for number, event in enumerate(events, len(self.feed) + 1)]

    def moved(self, kept: Kept, now: float, *, told: TaskState | None = None) -> None:
        """The state of a task is another one: it goes into the outbox, and, unless its run says it, into its events."""
        record = kept.record
        change = Change(
            id=next(self._change_ids),
            task=record.id,
            at=now,
            state=record.state,
            outcome=record.outcome,
            question=record.question,
        )
        self.changes[change.id] = change
        if record.state not in {"running", told}:
            seq = kept.last_event + 1
            self.tell(kept, [TaskMoved(task=record.id, seq=seq, at=now, state=record.state, outcome=record.outcome)])

    def put(self, kept: Kept, record: TaskRecord, now: float, *, told: TaskState | None = None) -> None:
        """A task changed; those that wait for it change with it, and those that wait for them.

        Args:
            kept: the task.
            record: as it is from now on.
            now: seconds since the epoch.
            told: the state that its run says it leaves it in, None when it says nothing.
        """
        changes = [(kept, record)]
        while changes:
            kept, record = changes.pop()
            before, kept.record = kept.record, record
            if record.state != before.state:
                self.moved(kept, now, told=told)
            told = None
            if record.final:
                kept.waits_for.clear()
                changes += [(other, self._told(other, record)) for other in self.all() if record.id in other.waits_for]

    def _told(self, other: Kept, record: TaskRecord) -> TaskRecord:
        """What becomes of a task when one that it waits for is over."""
        other.waits_for.discard(record.id)
        return unblocked(other.record) if record.state == "completed" else blocked_for_good(other.record, record)


def _of_any_host(subject: Subject) -> tuple[str, int]:
    return subject.path, subject.number
