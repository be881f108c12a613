"""Sessions: the append-only log of a task, and what it amounts to. Pure rules and data."""

from kugetsu.sessions.circling import Circling
from kugetsu.sessions.entries import (
    Checkpoint,
    Compacted,
    Entry,
    Finished,
    Forked,
    Heard,
    LogLine,
    Pruned,
    Renewed,
    Replied,
    Rewound,
    Started,
    Wasted,
    decode_entry,
    encode_entry,
)
from kugetsu.sessions.session import OpenTurn, Session, read_session
from kugetsu.sessions.tally import Tally

__all__ = [
    "Checkpoint",
    "Circling",
    "Compacted",
    "Entry",
    "Finished",
    "Forked",
    "Heard",
    "LogLine",
    "OpenTurn",
    "Pruned",
    "Renewed",
    "Replied",
    "Rewound",
    "Session",
    "Started",
    "Tally",
    "Wasted",
    "decode_entry",
    "encode_entry",
    "read_session",
]
