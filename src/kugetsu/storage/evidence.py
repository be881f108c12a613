"""What a task was doing when its worker died, in a few words."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import Connection, select

from kugetsu.errors import RecordError
from kugetsu.sessions import (
    Checkpoint,
    Entry,
    Finished,
    Heard,
    OpenTurn,
    Renewed,
    Replied,
    Rewound,
    Started,
)
from kugetsu.storage.logs import entry_of
from kugetsu.storage.schema import entries

_MOST_ENTRIES: Final = 500
"""A turn of more entries than that is not looked through."""

_MOST_NAMES: Final = 5


def evidence_of(connection: Connection, number: int) -> str:
    """Say where a session stands: its open turn, and the calls that began in it and have no result."""
    try:
        return _said(list(_open_turn(connection, number)))
    except RecordError as error:
        return error.message


def _open_turn(connection: Connection, number: int) -> Iterator[Entry]:
    """The entries since the turn was opened or the last one was closed, newest first."""
    query = select(entries).where(entries.c.task == number).order_by(entries.c.seq.desc()).limit(_MOST_ENTRIES)
    for row in connection.execute(query).all():
        entry = entry_of(row, number)
        yield entry
        if isinstance(entry, Replied | Checkpoint | Rewound):
            return


def _said(latest: list[Entry]) -> str:
    first = latest[-1] if latest else None
    if not isinstance(first, Replied):
        done = first.turn if isinstance(first, Checkpoint | Rewound) else 0
        return f"between turns, after turn {done}" if done else "before its first turn"
    turn = OpenTurn(first.turn, first.message)
    for entry in latest:
        match entry:
            case Started():
                turn.started.update(entry.calls)
            case Finished():
                turn.results[entry.result.call_id] = entry.result
            case Heard() | Replied() | Checkpoint() | Rewound() | Renewed():
                pass
    names = [call.name for call in turn.unanswered if call.id in turn.started]
    if not names:
        return f"in turn {turn.turn}, while no call was running"
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"in turn {turn.turn}, while it ran {', '.join(names[:_MOST_NAMES])}{more}"
