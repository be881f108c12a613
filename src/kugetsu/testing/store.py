"""A store in memory."""

from collections.abc import Collection, Sequence
from typing import Final, get_args

from kugetsu.errors import QueueFullError, StateConflictError
from kugetsu.events import Event
from kugetsu.messages import Message, ToolResult
from kugetsu.protocols import NumberedEvent, Spending, Submitted
from kugetsu.sessions import Entry, Finished, LogLine, Replied
from kugetsu.tasks import (
    Control,
    Note,
    Run,
    Task,
    TaskRecord,
    TaskReport,
    TaskState,
    controlled,
    parse_subject,
    submitted,
)
from kugetsu.testing.queue import MemoryQueue
from kugetsu.testing.shelf import TASK_ID, Kept

_ASKED_FOR: Final = ("prompt", "repo", "base", "model", "check", "after", "priority", "forked_from")
"""What two submissions of one key must have in common. The rest may come from settings or from the time of day."""

_UNKNOWN_WAIT: Final = 30.0
_LONGEST_WAIT: Final = 3600.0


class MemoryStore(MemoryQueue):
    """Everything that is kept, for as long as the process lives. Implements `protocols.Store`.

    It shows the rules of every store in their plainest form: look, apply the pure function, keep what it gives.

    Args:
        clock: whose time counts, for leases too.
    """

    async def close(self) -> None:
        """Nothing is under way."""

    async def submit(
        self,
        task: Task,
        *,
        key: str = "",
        most_pending: int = 0,
        worker: str = "",
        session: Sequence[Entry] = (),
    ) -> Submitted:
        """Take in a task; see `protocols.Desk`."""
        task.require_well_formed()
        if key in self._keys:
            return Submitted(_same(self._shelf.get(self._keys[key]).record, task), created=False)
        if not TASK_ID.fullmatch(task.id):
            raise StateConflictError(f"{task.id!r} is no task id", fix="use letters, digits and `_`, at most 64")
        if task.id in self._shelf:
            raise StateConflictError(f"there is a task {task.id} already", fix="use another id")
        blockers = self._shelf.blockers(task.after)
        info = self._worker(worker) if worker else None
        if info is None:
            self._refuse_when_full(most_pending)
        number, now = next(self._numbers), self._clock.now()
        kept = Kept(submitted(task, number=number, now=now, blockers=len(blockers), key=key), waits_for=blockers)
        claim = self._begin(kept, info, "name") if info else None
        kept.extend(now, session)
        self._shelf.add(kept)
        if claim is None:
            self._shelf.moved(kept, now)
        if key:
            self._keys[key] = task.id
        return Submitted(kept.record, created=True, claim=claim)

    async def control(self, task: str, control: Control) -> TaskRecord:
        """Do what a user asks for; see `protocols.Desk`."""
        kept = self._shelf.get(task)
        answered = [note.text for note in kept.notes if note.kind == "answer"]
        now = self._clock.now()
        changed = controlled(kept.record, control, answered=answered, now=now)
        self._shelf.put(kept, changed.record, now)
        if changed.note and changed.key not in kept.note_keys:
            kind, text = changed.note
            kept.notes.append(Note(next(self._note_ids), kind, text))
            kept.note_keys |= {changed.key} - {""}
        return kept.record

    async def find(self, prefix: str) -> TaskRecord:
        """Look up the one task whose id starts so, or the newest about something; see `protocols.Desk`."""
        subject = parse_subject(prefix)
        return (self._shelf.about(subject) if subject else self._shelf.starting_with(prefix)).record

    async def reports(self, *, states: Collection[TaskState] = (), most: int = 0, before: int = 0) -> list[TaskReport]:
        """Tasks, newest first; see `protocols.Desk`."""
        records = [kept.record for kept in reversed(self._shelf.all())]
        found = [
            record.shown
            for record in records
            if (not states or record.state in states) and (before <= 0 or record.number < before)
        ]
        return found[:most] if most > 0 else found

    async def counts(self) -> dict[TaskState, int]:
        """How many tasks are in each state."""
        states = [kept.record.state for kept in self._shelf.all()]
        return {state: states.count(state) for state in get_args(TaskState)}

    async def events(self, task: str, *, after: int = 0, most: int = 0) -> list[Event]:
        """A task's events, oldest first; see `protocols.Desk`."""
        found = [event for event in self._shelf.get(task).events if event.seq > after]
        return found[:most] if most > 0 else found

    async def feed(self, *, after: int = 0, most: int = 0) -> list[NumberedEvent]:
        """The events of all tasks, in the order in which they were written down."""
        found = self._shelf.feed[max(0, after) :]
        return found[:most] if most > 0 else found

    async def last_event(self) -> int:
        """The number of the last event of all."""
        return len(self._shelf.feed)

    async def session(self, task: str) -> list[LogLine]:
        """A task's session, oldest first."""
        return list(self._shelf.get(task).log)

    async def result(self, task: str, call: str) -> ToolResult | None:
        """What a call of a task's session gave."""
        finished = (line.entry for line in reversed(self._shelf.get(task).log) if isinstance(line.entry, Finished))
        return next((entry.result for entry in finished if entry.result.call_id == call), None)

    async def turn(self, task: str, number: int) -> list[Message]:
        """A reply of a task's session and the results of its calls."""
        entries = [line.entry for line in self._shelf.get(task).log]
        found = [entry for entry in entries if isinstance(entry, Replied | Finished) and entry.turn == number]
        return [entry.message if isinstance(entry, Replied) else entry.result for entry in found]

    async def spending(self, day: str) -> list[Spending]:
        """What was used up on a day, repository by repository."""
        return self._ledger.spending(day)

    async def runs(self, task: str) -> list[Run]:
        """A task's runs, oldest first."""
        return list(self._shelf.get(task).runs)

    def _refuse_when_full(self, most_pending: int) -> None:
        pending = sum(kept.record.state == "pending" for kept in self._shelf.all())
        if most_pending and pending >= most_pending:
            wait = self._wait_for_room()
            raise QueueFullError(
                f"{pending} tasks are waiting already, which is all there is room for",
                retry_after=wait,
                fix=f"try again in {wait:.0f} seconds",
            )

    def _wait_for_room(self) -> float:
        """Seconds until the next task is started, if it goes on as it did lately."""
        if not self._starts:
            return _UNKNOWN_WAIT
        passed = self._clock.now() - self._starts[0]
        return min(max(1.0, passed / len(self._starts)), _LONGEST_WAIT)


def _same(record: TaskRecord, task: Task) -> TaskRecord:
    """The record, if its task asks for the same.

    Raises:
        StateConflictError: it asks for something else.
    """
    if any(getattr(task, name) != getattr(record.task, name) for name in _ASKED_FOR):
        raise StateConflictError(
            f"the key {record.key!r} is that of task {record.id}, which asks for something else",
            fix="use another key for another task",
        )
    return record
