"""What is wrong with a database, for `kugetsu doctor`."""

import asyncio
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Select, func, select

from kugetsu.errors import RecordError
from kugetsu.storage.connecting import Access, reading
from kugetsu.storage.failures import DATABASE_ERRORS, LOOK, cannot
from kugetsu.storage.keyring import token_of
from kugetsu.storage.logs import entry_of, event_of
from kugetsu.storage.opening import DATABASE_NAME, exists, read_only, version_of
from kugetsu.storage.outbox import change_of, require_sound
from kugetsu.storage.rows import AnyRow, read_outcome, record_of
from kugetsu.storage.schema import changes, deliveries, entries, events, runs, tasks, tokens

_MOST_NAMED: Final = 10
"""So many of each kind are named."""


async def check(home: Path) -> list[str]:
    """Look through the database of a state home; changes nothing.

    Returns:
        What is wrong, one sentence each; nothing for a sound database, or when there is none.
    """
    return await asyncio.to_thread(_check, home / DATABASE_NAME)


def _check(path: Path) -> list[str]:
    try:
        if not exists(path):
            return []
        try:
            return _looked_through(path, "")
        except DATABASE_ERRORS as error:
            access = read_only(path, error)
            if access is None:
                raise
            return _looked_through(path, access)
    except DATABASE_ERRORS as error:
        return [_said(cannot("read", path, error))]
    except RecordError as error:
        return [_said(error)]


def _looked_through(path: Path, access: Access) -> list[str]:
    engine = reading(path, 1, access)
    try:
        with engine.connect() as connection:
            return list(_problems(connection, path))
    finally:
        engine.dispose()


def _problems(connection: Connection, path: Path) -> Iterator[str]:
    pages = [str(row[0]) for row in connection.exec_driver_sql(f"PRAGMA quick_check({_MOST_NAMED})")]
    if pages != ["ok"]:
        yield from (f"{path} is damaged: {' '.join(line.split())}" for line in pages)
        return
    if not version_of(connection, path):
        return
    for damaged in _LOOKS:
        yield from (f"{path}: {problem}" for problem in islice(damaged(connection), _MOST_NAMED))
    counted = func.count(), func.max(entries.c.seq)
    broken = select(tasks.c.id).join(entries).group_by(tasks.c.id).having(counted[0] != counted[1]).limit(_MOST_NAMED)
    for task in connection.scalars(broken):
        yield f"{path}: the session of task {task} has a gap"


def _damaged_tasks(connection: Connection) -> Iterator[str]:
    return _damage(connection, select(tasks), record_of)


def _damaged_entries(connection: Connection) -> Iterator[str]:
    query = select(tasks.c.id, entries).join(entries).order_by(entries.c.task, entries.c.seq)
    return _damage(connection, query, lambda row: entry_of(row, row.id))


def _damaged_events(connection: Connection) -> Iterator[str]:
    query = select(tasks.c.id, events).join(events).order_by(events.c.task, events.c.seq)
    return _damage(connection, query, lambda row: event_of(row, row.id))


def _damaged_outcomes(connection: Connection) -> Iterator[str]:
    query = select(tasks.c.id, runs).join(runs).order_by(runs.c.task, runs.c.generation)
    return _damage(connection, query, lambda row: read_outcome(row.outcome, f"run {row.generation} of task {row.id}"))


def _damaged_changes(connection: Connection) -> Iterator[str]:
    query = select(tasks.c.id.label("task_id"), changes).join(changes).order_by(changes.c.id)
    return _damage(connection, query, change_of)


def _damaged_deliveries(connection: Connection) -> Iterator[str]:
    query = select(tasks.c.id.label("task_id"), deliveries).join(deliveries).order_by(deliveries.c.id)
    return _damage(connection, query, require_sound)


def _damaged_tokens(connection: Connection) -> Iterator[str]:
    return _damage(connection, select(tokens).order_by(tokens.c.number), token_of)


_LOOKS: Final = (
    _damaged_tasks,
    _damaged_entries,
    _damaged_events,
    _damaged_outcomes,
    _damaged_changes,
    _damaged_deliveries,
    _damaged_tokens,
)


def _damage(connection: Connection, query: Select[Any], read: Callable[[AnyRow], object]) -> Iterator[str]:
    """What cannot be read of what is kept."""
    for row in connection.execute(query):
        try:
            read(row)
        except RecordError as error:
            yield error.message


def _said(error: RecordError) -> str:
    """The words of an error, for somebody who runs `kugetsu doctor` already."""
    fix = error.fix.removeprefix(LOOK)
    return f"{error.message} ({fix})" if fix else error.message
