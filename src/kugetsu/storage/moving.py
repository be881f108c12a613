"""Changes of tasks' states: each goes into the outbox, and those that no run tells into the task's events."""

from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, bindparam, func, insert, select

from kugetsu.events import TaskMoved, encode_event
from kugetsu.messages import encode_json
from kugetsu.storage.schema import changes, events
from kugetsu.tasks import Outcome, TaskRecord, TaskState

_insert_changes: Final = insert(changes)
_insert_events: Final = insert(events)
_last_events: Final = (
    select(events.c.task, func.max(events.c.seq))
    .where(events.c.task.in_(bindparam("tasks", expanding=True)))
    .group_by(events.c.task)
)


class Move(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept of a change of state, beside its task and its time; see `protocols.Change`."""

    state: TaskState
    outcome: Outcome | None = None
    question: str = ""


class Moved(NamedTuple):
    """A task whose state changed.

    Attributes:
        number, task: of the task, and its id.
        told: whether its run says so in an event of its own.
        fresh: whether it has just come in, so that nothing was told of it.
    """

    number: int
    task: str
    move: Move
    told: bool = False
    fresh: bool = False

    @classmethod
    def of(cls, record: TaskRecord, *, told: bool = False, fresh: bool = False) -> "Moved":
        """A task that is as its record says from now on. That it runs is told by its run."""
        move = Move(record.state, record.outcome, record.question)
        return cls(record.number, record.id, move, told or record.state == "running", fresh)


def tell(connection: Connection, moved: Sequence[Moved], now: float) -> None:
    """Write down that the states of tasks changed, in the transaction that changes them."""
    if not moved:
        return
    connection.execute(
        _insert_changes, [{"task": one.number, "at": now, "data": encode_json(one.move)} for one in moved]
    )
    if untold := [one for one in moved if not one.told]:
        _tell_events(connection, untold, now)


def last_events(connection: Connection, numbers: Collection[int]) -> dict[int, int]:
    """The number of the last event of each task."""
    return dict(connection.execute(_last_events, {"tasks": list(numbers)}).all()) if numbers else {}


def _tell_events(connection: Connection, moved: Sequence[Moved], now: float) -> None:
    last = last_events(connection, {one.number for one in moved if not one.fresh})
    rows: list[dict[str, Any]] = []
    for one in moved:
        last[one.number] = seq = last.get(one.number, 0) + 1
        event = TaskMoved(task=one.task, seq=seq, at=now, state=one.move.state, outcome=one.move.outcome)
        rows.append({"task": one.number, "seq": seq, "data": encode_event(event)})
    connection.execute(_insert_events, rows)
