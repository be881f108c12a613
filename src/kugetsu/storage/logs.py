"""Entries and events as rows, read back."""

from typing import Final

import msgspec
from sqlalchemy import Connection, select

from kugetsu.events import Event
from kugetsu.sessions import Entry, LogLine
from kugetsu.storage.rows import AnyRow, bounded, no_task, read_json
from kugetsu.storage.schema import entries, events, tasks

_entry: Final[msgspec.json.Decoder[Entry]] = msgspec.json.Decoder(Entry)
_event: Final[msgspec.json.Decoder[Event]] = msgspec.json.Decoder(Event)


def entry_of(row: AnyRow, task: object) -> Entry:
    """The entry in a row.

    Raises:
        RecordError: it is damaged.
    """
    return read_json(_entry, row.data, f"entry {row.seq} of the session of task {task}")


def event_of(row: AnyRow, task: object) -> Event:
    """The event in a row.

    Raises:
        RecordError: it is damaged.
    """
    return read_json(_event, row.data, f"event {row.seq} of task {task}")


def session_of(connection: Connection, task: str) -> list[LogLine]:
    """A task's session, oldest first.

    Raises:
        TaskNotFoundError: there is no such task.
        RecordError: it is damaged.
    """
    query = select(entries).join(tasks, tasks.c.number == entries.c.task).where(tasks.c.id == task)
    lines = [LogLine(row.seq, row.at, entry_of(row, task)) for row in connection.execute(query.order_by(entries.c.seq))]
    if not lines:
        number_of(connection, task)
    return lines


def events_of(connection: Connection, task: str, after: int, most: int) -> list[Event]:
    """A task's events, oldest first, that follow number `after`.

    Raises:
        TaskNotFoundError: there is no such task.
        RecordError: they are damaged.
    """
    query = (
        select(events)
        .where(events.c.task == number_of(connection, task), events.c.seq > bounded(after))
        .order_by(events.c.seq)
        .limit(bounded(most) or None)
    )
    return [event_of(row, task) for row in connection.execute(query)]


def number_of(connection: Connection, task: str) -> int:
    """The number of the task with this id.

    Raises:
        TaskNotFoundError: there is none.
    """
    number: int | None = connection.scalar(select(tasks.c.number).where(tasks.c.id == task))
    if number is None:
        raise no_task(task)
    return number
