"""Tasks as rows: read into records, and written back."""

import contextlib
from collections.abc import Collection, Iterable
from typing import Any, Final, TypeAlias, TypeVar

import msgspec
from sqlalchemy import Connection, Row, bindparam, select, update

from kugetsu.errors import LeaseLostError, RecordError, TaskNotFoundError
from kugetsu.messages import encode_json, well_formed
from kugetsu.protocols import Lease
from kugetsu.storage.moving import Moved, tell
from kugetsu.storage.schema import owned, tasks
from kugetsu.tasks import MOST_INTEGER, Outcome, Place, Task, TaskRecord, TaskReport, TaskState

T = TypeVar("T")

AnyRow: TypeAlias = Row[*tuple[Any, ...]]
"""A row of whatever columns."""

LIST_FIX: Final = "`kugetsu list` shows all tasks"

_task: Final = msgspec.json.Decoder(Task)
_report: Final = msgspec.json.Decoder(TaskReport)
_outcome: Final = msgspec.json.Decoder(Outcome)
_place: Final = msgspec.json.Decoder(Place)

_update: Final = update(tasks).where(tasks.c.number == bindparam("this_task"))


def read_json(decoder: "msgspec.json.Decoder[T]", data: bytes | str, what: str) -> T:
    """Decode what is kept.

    Raises:
        RecordError: it is damaged; the message says that `what` is.
    """
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise damaged(what, error) from error


def read_outcome(data: bytes | None, what: str) -> Outcome | None:
    """Decode how a run ended; None while it has not."""
    return None if data is None else read_json(_outcome, data, what)


def record_of(row: AnyRow) -> TaskRecord:
    """The record in a row of `tasks`.

    Raises:
        RecordError: it is damaged.
    """
    what = f"the record of task {row.id}"
    record = TaskRecord(
        task=read_json(_task, row.task, what),
        number=row.number,
        report=read_json(_report, row.report, what),
        state=row.state,
        priority=row.priority,
        queued_at=row.queued_at,
        available_at=row.available_at,
        blockers=row.blockers,
        attempts=row.attempts,
        crashes=row.crashes,
        generation=row.generation,
        runs=row.runs,
        worker=row.worker,
        wanted=row.wanted,
        reason=row.reason,
        question=row.question,
        outcome=read_outcome(row.outcome, what),
        place=None if row.place is None else read_json(_place, row.place, what),
        key=row.key or "",
    )
    if record.id != row.id:
        raise damaged(what, f"it is that of task {record.id}")
    return record


def changing(record: TaskRecord, now: float) -> dict[str, Any]:
    """The columns of a record that change often: all but what was asked for, its report and its place."""
    starts = record.queued and record.available_at <= now
    may_expire = (
        record.state == "pending" and not record.runs and record.outcome is None and record.task.deadline_at > 0
    )
    return {
        "state": record.state,
        "ready": starts,
        "wakes_at": record.available_at if record.queued and not starts else None,
        "expires_at": record.task.deadline_at if may_expire else None,
        "generation": record.generation,
        "worker": record.worker,
        "rank": record.rank,
        "priority": record.priority,
        "queued_at": record.queued_at,
        "available_at": record.available_at,
        "blockers": record.blockers,
        "attempts": record.attempts,
        "crashes": record.crashes,
        "runs": record.runs,
        "wanted": record.wanted,
        "reason": well_formed(record.reason),
        "question": well_formed(record.question),
        "outcome": None if record.outcome is None else encode_json(record.outcome),
    }


def write(
    connection: Connection,
    changes: Iterable[tuple[TaskRecord, TaskRecord]],
    now: float,
    *,
    told: TaskState | None = None,
) -> None:
    """Write back what became of records, and tell of those whose state changed.

    Args:
        connection: in a transaction in which they were read.
        changes: each before and after.
        now: seconds since the epoch.
        told: the state that the run says it leaves its task in, None when it says nothing.
    """
    pairs = [(before, after) for before, after in changes if after is not before]
    if not pairs:
        return
    connection.execute(_update, [{"this_task": after.number, **changing(after, now)} for _, after in pairs])
    for before, after in pairs:
        if after.task is not before.task:
            connection.execute(_update, {"this_task": after.number, "task": encode_json(after.task)})
        if after.report is not before.report:
            connection.execute(_update, {"this_task": after.number, "report": encode_json(after.report)})
        if after.place is not before.place:
            place = None if after.place is None else encode_json(after.place)
            connection.execute(_update, {"this_task": after.number, "place": place})
    moved = [Moved.of(after, told=after.state == told) for before, after in pairs if after.state != before.state]
    tell(connection, moved, now)


def find_row(connection: Connection, task: str) -> AnyRow | None:
    """The row of the task with this id."""
    return connection.execute(select(tasks).where(tasks.c.id == well_formed(task))).first()


def named(connection: Connection, task: str) -> TaskRecord:
    """The task with this id.

    Raises:
        TaskNotFoundError: there is none.
        RecordError: it is damaged.
    """
    row = find_row(connection, task)
    if row is None:
        raise no_task(task)
    return record_of(row)


def held(connection: Connection, lease: Lease) -> TaskRecord:
    """The task that a run has.

    Raises:
        LeaseLostError: it has it no longer.
        RecordError: it is damaged.
    """
    row = find_row(connection, lease.task)
    if row is None or row.state != "running" or row.generation != lease.generation:
        raise lost(lease)
    return record_of(row)


def readable(rows: Iterable[AnyRow]) -> list[TaskRecord]:
    """The records in rows. Damaged ones are left out, for `check` to find."""
    return [record for row in rows if (record := record_if_sound(row)) is not None]


def record_if_sound(row: AnyRow) -> TaskRecord | None:
    """The record in a row; None for one that is damaged."""
    with contextlib.suppress(RecordError):
        return record_of(row)
    return None


def in_worker(workers: Collection[str]) -> Any:  # noqa: ANN401 - a select of rows
    """Select the running tasks of workers, oldest first."""
    return select(tasks).where(tasks.c.worker.in_(list(workers)), owned).order_by(tasks.c.number)


def bounded(number: int) -> int:
    """The nearest number from 0 on that the database knows."""
    return min(max(0, number), MOST_INTEGER)


def damaged(what: str, why: object) -> RecordError:
    """The error for what is kept and cannot be read."""
    return RecordError(f"{what} is damaged: {why}", fix="`kugetsu doctor` looks for more")


def no_task(task: str) -> TaskNotFoundError:
    """The error for an id that nobody has."""
    return TaskNotFoundError(f'there is no task "{ascii(task)[1:-1]}"', fix=LIST_FIX)


def lost(lease: Lease) -> LeaseLostError:
    """The error for a run that has its task no longer."""
    return LeaseLostError(
        f"run {lease.generation} of task {lease.task} has lost its lease: another may have taken over"
    )


def no_lease(worker: str) -> LeaseLostError:
    """The error for a worker that was taken for dead, or never had a lease."""
    return LeaseLostError(f"the worker {worker!r} has no lease")
