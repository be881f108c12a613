"""The seam to what is kept: tasks and their queue, leases, sessions, events and effects.

One contract for every engine. All methods are coroutines and never block the event loop. What a method has returned
from is durable: it survives the loss of power. A method that raises has changed nothing, unless it says otherwise. When
the answer of a commit is lost (`RecordError.unknown`), the caller looks before it repeats.
"""

from collections.abc import Collection, Sequence
from typing import Literal, Protocol

import msgspec

from kugetsu.events import Event
from kugetsu.messages import Message, ToolResult
from kugetsu.protocols.claims import Attention, Claim, Concurrency, Lease, WorkerInfo, WorkerState
from kugetsu.protocols.keyring import Keyring
from kugetsu.protocols.outbox import Outbox
from kugetsu.protocols.service import NumberedEvent
from kugetsu.sessions import Entry, LogLine
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

EffectState = Literal["new", "begun", "done"]
"""Whether an effect was never tried, may have been done, or is done."""


class Effect(msgspec.Struct, frozen=True):
    """Something done to the world outside, once.

    Attributes:
        turn: in which it was decided; 0 for the task as a whole.
        call: what it is: the id of a call, or a name such as `deliver`.
        payload: what is to be done, as JSON; the first intent counts.
    """

    turn: int
    call: str
    payload: str = ""


class Reserved(msgspec.Struct, frozen=True):
    """What became of the wish to use something up.

    Attributes:
        granted: what may be used up; None: nothing now.
        hit: which budget has no room, in words, with its limit and what was used up. Empty when there would be room were it
            not for what other runs have set aside: then ask again soon.
        until: when there will be room again; seconds since the epoch.
    """

    granted: Spent | None = None
    hit: str = ""
    until: float = 0.0


class Spending(msgspec.Struct, frozen=True):
    """What one repository used up on one day.

    Attributes:
        day: UTC, as `2026-01-31`.
        repo: as tasks name it, credentials left out.
    """

    day: str
    repo: str
    spent: Spent


class Submitted(msgspec.Struct, frozen=True):
    """What became of a submission.

    Attributes:
        created: False when a task with the same key was there already; it is that one.
        claim: for a submission that claims, the task as its worker got it.
    """

    record: TaskRecord
    created: bool
    claim: Claim | None = None


class Runs(Protocol):
    """What one run may write. Every method raises `LeaseLostError`, and writes nothing, once the lease is lost."""

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
        """Add to the end of the task's session, and to its events, in one transaction.

        Args:
            lease: of the run.
            entries: may be empty.
            events: stamped; with numbers that follow the last one.
            taken: ids of the notes that are in the entries now.
            headway: whether this shows that the task does not kill its workers: the count of crashes begins anew.
            spent: what the run used up since the last time, for the budgets of today; what it had set aside is free again.

        Raises:
            LeaseLostError: see above.
            RecordError: it could not be written; the run must stop.
        """
        ...

    async def reserve(self, lease: Lease, least: Spent, most: Spent, budgets: Budgets) -> Reserved:
        """Set aside, of what is left of today's budgets, what the run may use up until it says what it did (`append`).

        Takes the place of what the run had set aside before. Ends with the run at the latest. What is used up and set aside
        together never exceeds a budget, however many runs ask at the same time.

        Args:
            lease: of the run.
            least: less than this is of no use.
            most: more than this is not needed.
            budgets: those of the task's repository and of all together.

        Raises:
            LeaseLostError, RecordError: as for `append`.
        """
        ...

    async def place(self, lease: Lease, place: Place) -> None:
        """Write down where the task's work is, before any is done. May be called twice.

        Raises:
            LeaseLostError, RecordError: as for `append`.
        """
        ...

    async def begin_effect(self, lease: Lease, effect: Effect) -> EffectState:
        """Write down that something is about to be done to the world outside; says what was written down before.

        Raises:
            LeaseLostError, RecordError: as for `append`.
        """
        ...

    async def end_effect(self, lease: Lease, effect: Effect) -> None:
        """Write down that it is done. May be called twice.

        Raises:
            LeaseLostError, RecordError: as for `append`.
        """
        ...

    async def settle(
        self,
        lease: Lease,
        ending: Ending,
        *,
        entries: Sequence[Entry] = (),
        events: Sequence[Event] = (),
        spent: Spent | None = None,
    ) -> TaskRecord:
        """End the run: the task is what `ending` says (see `tasks.settled`), its lease is gone, its dependents are told.

        Returns:
            The task as it is now.

        Raises:
            LeaseLostError, RecordError: as for `append`.
        """
        ...


class Queue(Protocol):
    """What workers need."""

    async def register(self, worker: WorkerInfo, seconds: float) -> None:
        """Give a worker its lease. May be called twice.

        Raises:
            RecordError: it could not be written.
        """
        ...

    async def renew(self, worker: str, seconds: float) -> None:
        """Extend a worker's lease from now on.

        Raises:
            LeaseLostError: it is gone; all tasks of the worker are lost.
            RecordError: it could not be written.
        """
        ...

    async def retire(self, worker: str) -> list[str]:
        """End a worker's lease in good order; what it still has is given back. May be called twice.

        Returns:
            The ids of the tasks that were given back.

        Raises:
            RecordError: it could not be written.
        """
        ...

    async def workers(self) -> list[WorkerState]:
        """All workers that are not retired, also those whose lease has expired.

        Raises:
            RecordError: they could not be read.
        """
        ...

    async def reap(self, dead: Collection[str] = ()) -> list[TaskRecord]:
        """Take the tasks of workers whose lease has expired, or who are known to be dead.

        A death may be put down to the tasks that were there (see `tasks.orphaned`). A lease that merely expired is put
        down to none: the worker may hang, sleep or be cut off, and live (see `tasks.overdue`).

        Returns:
            The tasks as they are now, without those whose record is damaged: these have failed.

        Raises:
            RecordError: it could not be written.
        """
        ...

    async def claim(self, worker: str, most: int, limits: Concurrency | None = None) -> list[Claim]:
        """Take the tasks that are next: the lowest rank first, then the lowest number.

        Only what may start now: pending or waiting for nothing but a time, its time has come, nothing blocks it, and no
        limit is exceeded. Tasks whose
        deadline has passed before they were ever started fail now (see `tasks.expired`), as do those whose record is
        damaged.

        Raises:
            LeaseLostError: the worker has no lease.
            RecordError: it could not be written.
        """
        ...

    async def claim_task(self, worker: str, task: str, claiming: Claiming = "name") -> Claim:
        """Take one task, whatever its place in the queue; its time need not have come.

        Raises:
            TaskNotFoundError: there is none of this id.
            StateConflictError: see `tasks.claimed`.
            LeaseLostError: the worker has no lease.
            RecordError: it could not be written.
        """
        ...

    async def next_start(self) -> float | None:
        """When the next task that waits for its time alone may start; None when there is none.

        Raises:
            RecordError: it could not be read.
        """
        ...

    async def attention(self, worker: str) -> list[Attention]:
        """The worker's running tasks of which somebody wants something that is not done yet.

        Raises:
            RecordError: it could not be read.
        """
        ...


class Desk(Protocol):
    """What users and gateways need.

    A change of a task's state that its run does not tell (`task_halted`, `task_finished`) is an event of the task too
    (`task_moved`), in the same transaction; `running` is told by the run. Every change of state is in the outbox as well.
    """

    async def submit(
        self,
        task: Task,
        *,
        key: str = "",
        most_pending: int = 0,
        worker: str = "",
        session: Sequence[Entry] = (),
    ) -> Submitted:
        """Take in a task. It is accepted when this returns.

        Args:
            task: with an id of its own.
            key: the submitter's own name for it: a second submission of the same key returns the first one's task.
            most_pending: how many tasks may be pending; 0 for no limit.
            worker: who gets it at once, passing the queue; empty for nobody.
            session: what its session begins with, for a fork.

        Raises:
            QueueFullError: there is no room; says how long to wait.
            UsageError: a text of the task that is no prose cannot be kept as it is (see `Task.require_well_formed`).
            StateConflictError: the id is taken; or the key is that of a task that asked for something else; or one of
                `task.after` does not exist, or never will be completed.
            LeaseLostError: `worker` has no lease.
            RecordError: it could not be written.
        """
        ...

    async def control(self, task: str, control: Control) -> TaskRecord:
        """Do what a user asks for (see `tasks.controlled`).

        Returns:
            The task as it is now.

        Raises:
            TaskNotFoundError: there is none of this id.
            StateConflictError: it makes no sense in the task's state.
            RecordError: it could not be written.
        """
        ...

    async def find(self, prefix: str) -> TaskRecord:
        """Look up the one task whose id starts so; or, for the name of an issue (`tasks.parse_subject`), the newest about it.

        Raises:
            TaskNotFoundError: there is none, or several; or the issue's host was not said, and there are several.
            RecordError: it could not be read, or is damaged.
        """
        ...

    async def reports(self, *, states: Collection[TaskState] = (), most: int = 0, before: int = 0) -> list[TaskReport]:
        """Tasks, newest first.

        Args:
            states: those in one of these; empty for all.
            most: how many; 0 for all.
            before: only those that came in before this number; 0 for all. The number is `TaskRecord.number`.

        Raises:
            RecordError: they could not be read.
        """
        ...

    async def counts(self) -> dict[TaskState, int]:
        """How many tasks are in each state; every state is named.

        Raises:
            RecordError: they could not be read.
        """
        ...

    async def events(self, task: str, *, after: int = 0, most: int = 0) -> list[Event]:
        """A task's events, oldest first, from the one that follows number `after`; `most` 0 for all.

        Raises:
            TaskNotFoundError: there is none of this id.
            RecordError: they could not be read, or are damaged.
        """
        ...

    async def feed(self, *, after: int = 0, most: int = 0) -> list[NumberedEvent]:
        """The events of all tasks, in the order in which they were written down, from the one that follows number `after`.

        No event with a lower number appears later. `most` 0 for all. Damaged ones are left out.

        Raises:
            RecordError: they could not be read.
        """
        ...

    async def last_event(self) -> int:
        """The number of the last event of all; 0 when there is none.

        Raises:
            RecordError: it could not be read.
        """
        ...

    async def session(self, task: str) -> list[LogLine]:
        """A task's session, oldest first.

        Raises:
            TaskNotFoundError: there is none of this id.
            RecordError: it could not be read, or is damaged.
        """
        ...

    async def result(self, task: str, call: str) -> ToolResult | None:
        """What a call of a task's session gave, also one that counts no longer; None when there is no such result.

        Raises:
            TaskNotFoundError: there is no such task.
            RecordError: it could not be read, or is damaged.
        """
        ...

    async def turn(self, task: str, number: int) -> list[Message]:
        """A reply of a task's session and the results of its calls, also what counts no longer; empty for no such turn.

        Raises:
            TaskNotFoundError, RecordError: as for `result`.
        """
        ...

    async def spending(self, day: str) -> list[Spending]:
        """What was used up on a day (UTC, as `2026-01-31`), repository by repository.

        Raises:
            RecordError: it could not be read.
        """
        ...

    async def runs(self, task: str) -> list[Run]:
        """A task's runs, oldest first.

        Raises:
            TaskNotFoundError: there is none of this id.
            RecordError: they could not be read.
        """
        ...


class Store(Runs, Queue, Desk, Outbox, Keyring, Protocol):
    """Everything that is kept."""

    async def close(self) -> None:
        """Write what is under way, and let go. May be called twice; nothing else may be called after it."""
        ...
