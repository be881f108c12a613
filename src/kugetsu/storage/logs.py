"""Entries and events as rows, read back."""

import contextlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

import msgspec
from sqlalchemy import Connection, func, select

from kugetsu.errors import RecordError
from kugetsu.events import Event
from kugetsu.messages import Message, ToolResult, encode_json
from kugetsu.protocols import NumberedEvent
from kugetsu.sessions import Entry, Finished, LogLine, Replied
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


def result_of(connection: Connection, task: str, call: str) -> ToolResult | None:
    """What a call of a task's session gave, looked for from the end; None when there is no such result.

    Raises:
        TaskNotFoundError: there is no such task.
        RecordError: it is damaged.
    """
    mark = b'"call_id":' + encode_json(call)  # most entries need not be read for it
    query = (
        select(entries.c.seq, entries.c.data)
        .where(entries.c.task == number_of(connection, task), func.instr(entries.c.data, mark) > 0)
        .order_by(entries.c.seq.desc())
    )
    for row in connection.execute(query):
        entry = entry_of(row, task)
        if isinstance(entry, Finished) and entry.result.call_id == call:
            return entry.result
    return None


def turn_of(connection: Connection, task: str, number: int) -> list[Message]:
    """A reply of a task's session and the results of its calls; empty when there is no such turn.

    Raises:
        TaskNotFoundError: there is no such task.
        RecordError: it is damaged.
    """
    mark = b'"turn":%d,' % number
    query = (
        select(entries.c.seq, entries.c.data)
        .where(entries.c.task == number_of(connection, task), func.instr(entries.c.data, mark) > 0)
        .order_by(entries.c.seq)
    )
    found: list[Message] = []
    for row in connection.execute(query):
        entry = entry_of(row, task)
        if isinstance(entry, Replied | Finished) and entry.turn == number:
            found.append(entry.message if isinstance(entry, Replied) else entry.result)
    return found


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


def feed(connection: Connection, after: int, most: int) -> list[NumberedEvent]:
    """The events of all tasks, in the order in which they were written down. Damaged ones are left out: see `check`."""
    query = (
        select(tasks.c.id, events.c.number, events.c.seq, events.c.data)
        .join(tasks, tasks.c.number == events.c.task)
        .where(events.c.number > bounded(after))
        .order_by(events.c.number)
    )
    # They are read as they are needed.
    return list(islice(_sound(connection.execute(query)), bounded(most) or None))


def last_of_all(connection: Connection) -> int:
    """The number of the last event of all."""
    return connection.scalar(select(func.max(events.c.number))) or 0


def _sound(rows: Iterable[AnyRow]) -> Iterator[NumberedEvent]:
    for row in rows:
        with contextlib.suppress(RecordError):
            yield NumberedEvent(row.number, event_of(row, row.id))


def number_of(connection: Connection, task: str) -> int:
    """The number of the task with this id.

    Raises:
        TaskNotFoundError: there is none.
    """
    number: int | None = connection.scalar(select(tasks.c.number).where(tasks.c.id == task))
    if number is None:
        raise no_task(task)
    return number
