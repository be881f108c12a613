"""How a line of the log looks: for people, and as JSON."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from kugetsu.logs.entry import Entry
from kugetsu.logs.levels import level_name
from kugetsu.logs.redaction import Redactor
from kugetsu.logs.text import joined, plain
from kugetsu.messages import encode_json

Layout: TypeAlias = Callable[[Entry, Redactor], bytes]
"""Makes of an entry one line, with its line end."""

_LONGEST_TRACE: Final = 1_500
"""Characters of a traceback on a readable line: its end."""

PROGRAM: Final = "kugetsu"
"""Who speaks on a readable line that is about no task."""

_WITHHELD: Final = {"event": "withheld", "message": "this line is left out: it would have shown a secret"}


def timestamp(at: float) -> str:
    """A moment in UTC, to the millisecond, as ISO 8601 writes it: `2026-01-31T12:01:07.123Z`. Never raises."""
    try:
        moment = datetime.fromtimestamp(at, UTC)
    except (ValueError, OverflowError, OSError):
        moment = datetime.fromtimestamp(time.time(), UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


def readable(entry: Entry, redactor: Redactor) -> bytes:
    """`TIME LEVEL TASK#RUN turn N: MESSAGE`, on one line; a traceback stands behind it in brackets."""
    where, line = entry.where, entry.line(redactor)
    who = joined(plain(where.shadow)) or PROGRAM
    turn = f" turn {where.turn}" if where.task and where.turn else ""
    message = line.message
    if trace := line.fields.get("exception"):
        message += f" [{joined(str(trace))[-_LONGEST_TRACE:]}]"
    text = f"{timestamp(entry.at)} {level_name(entry.level):<7} {who}{turn}: {message}"
    return redactor.without_values(text).encode("utf-8", "replace") + b"\n"


def json_line(entry: Entry, redactor: Redactor) -> bytes:
    """One object: `time`, `level`, `event`, `message`, `task`, `run`, `turn`, `shadow`, then the fields of the event.

    The first eight are always there; null for what a line is not about.
    """
    where, line = entry.where, entry.line(redactor)
    head = {
        "time": timestamp(entry.at),
        "level": level_name(entry.level),
        "event": line.event,
        "message": line.message,
        "task": where.task or None,
        "run": where.run or None,
        "turn": where.turn or None,
        "shadow": where.shadow or None,
    }
    data = encode_json({**head, **{_name(name, head): value for name, value in line.fields.items()}})
    if redactor.finds(data.decode()):
        # A secret that is spread over several fields, or is a number.
        data = encode_json({**dict.fromkeys(head), "time": head["time"], "level": head["level"], **_WITHHELD})
    return b"" if redactor.finds(data.decode()) else data + b"\n"


def _name(name: str, head: dict[str, Any]) -> str:
    return f"{name}_" if name in head else name
