"""What is only read."""

import re
from collections.abc import Collection
from typing import Final, cast

from sqlalchemy import Connection, func, select

from kugetsu.errors import TaskNotFoundError
from kugetsu.protocols import WorkerInfo, WorkerState
from kugetsu.storage.logs import number_of
from kugetsu.storage.rows import LIST_FIX, bounded, find_row, no_task, read_outcome, readable, record_of
from kugetsu.storage.schema import STATES, runs, tasks, workers
from kugetsu.storage.subjects import find_about
from kugetsu.tasks import Run, TaskRecord, TaskReport, TaskState, parse_subject

_PREFIX: Final = re.compile(r"[A-Za-z0-9_]{1,64}")
_AFTER_ALL: Final = "\x7f"
"""Comes after every character of an id."""

_MOST_NAMED: Final = 5


def find(connection: Connection, prefix: str) -> TaskRecord:
    """The one task whose id is this, or starts so; or the newest about what is called so."""
    subject = parse_subject(prefix)
    if subject is not None:
        return find_about(connection, subject)
    if not _PREFIX.fullmatch(prefix):
        raise TaskNotFoundError(f'no task starts with "{ascii(prefix)[1:-1]}"', fix=LIST_FIX)
    row = find_row(connection, prefix)
    if row is not None:
        return record_of(row)
    starting = (tasks.c.id > prefix, tasks.c.id < prefix + _AFTER_ALL)
    ids = connection.scalars(select(tasks.c.id).where(*starting).order_by(tasks.c.id).limit(_MOST_NAMED + 1)).all()
    if not ids:
        raise TaskNotFoundError(f'no task starts with "{prefix}"', fix=LIST_FIX)
    if len(ids) > 1:
        count = connection.scalar(select(func.count()).select_from(tasks).where(*starting))
        more = ", ..." if len(ids) > _MOST_NAMED else ""
        raise TaskNotFoundError(
            f'"{prefix}" fits {count} tasks: {", ".join(ids[:_MOST_NAMED])}{more}', fix="give more of the id"
        )
    row = find_row(connection, ids[0])
    if row is None:
        raise no_task(ids[0])
    return record_of(row)


def reports(connection: Connection, states: Collection[TaskState], most: int, before: int) -> list[TaskReport]:
    """Tasks, newest first. Damaged ones are left out: see `check`."""
    query = select(tasks).order_by(tasks.c.number.desc()).limit(bounded(most) or None)
    if states:
        query = query.where(tasks.c.state.in_(list(states)))
    if before > 0:
        query = query.where(tasks.c.number < bounded(before))
    return [record.shown for record in readable(connection.execute(query))]


def counts(connection: Connection) -> dict[TaskState, int]:
    """How many tasks are in each state."""
    rows = connection.execute(select(tasks.c.state, func.count()).group_by(tasks.c.state)).all()
    return {**dict.fromkeys(STATES, 0), **dict(cast("list[tuple[TaskState, int]]", rows))}


def runs_of(connection: Connection, task: str) -> list[Run]:
    """A task's runs, oldest first."""
    query = select(runs).where(runs.c.task == number_of(connection, task)).order_by(runs.c.generation)
    return [
        Run(
            generation=row.generation,
            worker=row.worker,
            started_at=row.started_at,
            ended_at=row.ended_at,
            outcome=read_outcome(row.outcome, f"run {row.generation} of task {task}"),
        )
        for row in connection.execute(query)
    ]


def workers_now(connection: Connection) -> list[WorkerState]:
    """All workers with a lease, also one that has expired."""
    query = select(workers).order_by(workers.c.started_at, workers.c.id)
    return [
        WorkerState(WorkerInfo(row.id, row.host, row.pid, row.name), row.expires_at)
        for row in connection.execute(query)
    ]


def next_start(connection: Connection) -> float | None:
    """When the next task that waits for its time alone may start."""
    first: float | None = connection.scalar(select(func.min(tasks.c.wakes_at)))
    return first
