"""How tasks come in: once for each key, after those they need, and no more than there is room for."""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, func, insert, select

from kugetsu.errors import QueueFullError, StateConflictError
from kugetsu.messages import encode_json, well_formed
from kugetsu.protocols import Submitted
from kugetsu.sessions import Entry
from kugetsu.storage.appending import begin_session
from kugetsu.storage.claiming import claim_task
from kugetsu.storage.moving import Moved, tell
from kugetsu.storage.rows import bounded, changing, find_row, record_of
from kugetsu.storage.schema import dependencies, runs, tasks
from kugetsu.storage.subjects import subject_column
from kugetsu.tasks import Task, TaskRecord, submitted

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]{0,63}")

_ASKED_FOR: Final = ("prompt", "repo", "base", "model", "check", "after", "priority", "forked_from")
"""What two submissions of one key must have in common. The rest may come from settings or from the time of day."""

_LATEST_RUNS: Final = 50
_LATELY_SECONDS: Final = 3600.0
_UNKNOWN_SECONDS: Final = 30.0
_WAIT_SECONDS: Final = (1.0, 3600.0)


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """What `Store.submit` was given."""

    task: Task
    key: str
    most_pending: int
    worker: str
    session: Sequence[Entry]


def require_id(task: str) -> None:
    """Look whether a task may be called so.

    Raises:
        StateConflictError: it may not.
    """
    if not _ID.fullmatch(task):
        raise StateConflictError(
            f"{task!a} is no task id", fix="use letters, digits and `_`, at most 64, and no `_` first"
        )


def submit(connection: Connection, submission: Submission, now: float) -> Submitted:
    """Take in a task."""
    task, key = submission.task, well_formed(submission.key)
    if key and (first := _of_key(connection, key)):
        return _same(task, first)
    if find_row(connection, task.id) is not None:
        raise StateConflictError(f"there is a task {task.id} already", fix="give every task an id of its own")
    blockers = _blockers(connection, task)
    if submission.most_pending > 0 and not submission.worker:
        _require_room(connection, submission.most_pending, now)
    record = _insert(connection, submitted(task, number=0, now=now, blockers=len(blockers), key=key), now)
    if blockers:
        connection.execute(
            insert(dependencies), [{"task": record.number, "after": number, "met": False} for number in blockers]
        )
    begin_session(connection, record.number, now, submission.session)
    if not submission.worker:
        tell(connection, [Moved.of(record, fresh=True)], now)
        return Submitted(record, created=True)
    claim = claim_task(connection, submission.worker, task.id, "name", now)
    return Submitted(claim.record, created=True, claim=claim)


def _insert(connection: Connection, record: TaskRecord, now: float) -> TaskRecord:
    row: dict[str, Any] = {
        **changing(record, now),
        "id": record.id,
        "repo": well_formed(record.report.repo),
        "model": well_formed(record.task.model),
        "key": record.key or None,
        "task": encode_json(record.task),
        "report": encode_json(record.report),
        "subject": subject_column(record.task.subject),
    }
    inserted = connection.execute(insert(tasks), row).inserted_primary_key
    if inserted is None:
        raise AssertionError("an insert of one row has a key")
    return msgspec.structs.replace(record, number=inserted[0])


def _of_key(connection: Connection, key: str) -> TaskRecord | None:
    row = connection.execute(select(tasks).where(tasks.c.key == key)).first()
    return None if row is None else record_of(row)


def _same(task: Task, first: TaskRecord) -> Submitted:
    """What a second submission of a key gets."""
    again = msgspec.json.decode(encode_json(task), type=Task)  # with its text as it is kept
    other = [name for name in _ASKED_FOR if getattr(first.task, name) != getattr(again, name)]
    if other:
        raise StateConflictError(
            f"the key {first.key!a} is that of task {first.id}, which asked for another {other[0]}",
            fix="use a new key for a new task",
        )
    return Submitted(first, created=False)


def _blockers(connection: Connection, task: Task) -> list[int]:
    """The numbers of the tasks that have to be completed before, and are not."""
    if not task.after:
        return []
    query = select(tasks.c.id, tasks.c.number, tasks.c.state).where(
        tasks.c.id.in_([well_formed(i) for i in task.after])
    )
    found = {row.id: row for row in connection.execute(query)}
    blockers = []
    for name in dict.fromkeys(task.after):
        row = found.get(name)
        if row is None or row.state in {"failed", "cancelled"}:
            why = "does not exist" if row is None else f"is {row.state}"
            raise StateConflictError(
                f"task {name!a}, which has to be completed before, {why}", fix="`kugetsu list` shows all tasks"
            )
        if row.state != "completed":
            blockers.append(row.number)
    return blockers


def _require_room(connection: Connection, most: int, now: float) -> None:
    some = select(tasks.c.number).where(tasks.c.state == "pending").limit(bounded(most)).subquery()
    pending = connection.scalar(select(func.count()).select_from(some)) or 0
    if pending < most:
        return
    wait = _seconds_a_start(connection, now)
    raise QueueFullError(
        f"the queue is full: {most} tasks are pending",
        retry_after=wait,
        fix=f"try again in {wait:.0f} seconds, or cancel what is not needed",
    )


def _seconds_a_start(connection: Connection, now: float) -> float:
    """Seconds from one start of a task to the next, as it was lately: then there is room for one more."""
    latest = (
        select(runs.c.started_at)
        .where(runs.c.started_at > now - _LATELY_SECONDS)
        .order_by(runs.c.started_at.desc())
        .limit(_LATEST_RUNS)
    )
    started: Sequence[float] = connection.scalars(latest).all()
    if not started:
        return _UNKNOWN_SECONDS
    shortest, longest = _WAIT_SECONDS
    return min(longest, max(shortest, (now - started[-1]) / len(started)))
