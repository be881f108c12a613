"""What runs add to sessions and events: many of them at once, as this is what a busy store does most."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, bindparam, func, insert, select, update

from kugetsu.errors import KugetsuError, RecordError
from kugetsu.events import Event, encode_event
from kugetsu.protocols import Lease
from kugetsu.sessions import Entry, encode_entry
from kugetsu.storage.ledger import book, free
from kugetsu.storage.rows import AnyRow, lost
from kugetsu.storage.schema import entries, events, notes, reservations, tasks
from kugetsu.tasks import Spent

_last_entry: Final = select(func.max(entries.c.seq)).where(entries.c.task == tasks.c.number).scalar_subquery()
_last_event: Final = select(func.max(events.c.seq)).where(events.c.task == tasks.c.number).scalar_subquery()
_reserved: Final = select(reservations.c.task).where(reservations.c.task == tasks.c.number).scalar_subquery()

_fence: Final = select(
    tasks.c.id,
    tasks.c.number,
    tasks.c.state,
    tasks.c.generation,
    tasks.c.crashes,
    tasks.c.repo,
    _reserved.label("reserved"),
    func.coalesce(_last_entry, 0).label("last_entry"),
    func.coalesce(_last_event, 0).label("last_event"),
).where(tasks.c.id.in_(bindparam("ids", expanding=True)))

_insert_entries: Final = insert(entries)
_insert_events: Final = insert(events)
_headway: Final = update(tasks).where(tasks.c.number.in_(bindparam("numbers", expanding=True))).values(crashes=0)
_taken: Final = (
    update(notes).where(notes.c.task == bindparam("of_task"), notes.c.id == bindparam("note")).values(taken=True)
)


@dataclass(slots=True)
class Append:
    """Something to be added, encoded by who adds it.

    Attributes:
        at: seconds since the epoch.
        entries: as JSON.
        events: with their numbers, as JSON.
        taken: ids of notes.
        headway: whether the count of crashes begins anew.
        spent: what the run used up, None when that is still to be seen.
    """

    lease: Lease
    at: float
    entries: list[bytes] = field(default_factory=list)
    events: list[tuple[int, bytes]] = field(default_factory=list)
    taken: Collection[int] = ()
    headway: bool = False
    spent: Spent | None = None

    @classmethod
    def of(
        cls,
        lease: Lease,
        at: float,
        entries: Sequence[Entry],
        events: Sequence[Event] = (),
        taken: Collection[int] = (),
        *,
        headway: bool = False,
        spent: Spent | None = None,
    ) -> "Append":
        """Encode what is to be added."""
        return cls(
            lease,
            at,
            [encode_entry(entry) for entry in entries],
            [(event.seq, encode_event(event)) for event in events],
            taken,
            headway,
            spent,
        )

    @property
    def empty(self) -> bool:
        """Whether there is nothing to be added."""
        return not (self.entries or self.events or self.taken or self.headway or self.spent)


@dataclass(slots=True)
class _End:
    """Where the logs of a task end."""

    entry: int
    event: int


def append_all(connection: Connection, appends: Sequence[Append]) -> list[Exception | None]:
    """Add everything that may be added, in order.

    Returns:
        For each the reason why nothing of it was added, None when all of it was.
    """
    ids = list({append.lease.task for append in appends})
    found = {row.id: row for row in connection.execute(_fence, {"ids": ids})}
    ends = {row.number: _End(row.last_entry, row.last_event) for row in found.values()}
    errors: list[Exception | None] = []
    accepted: list[tuple[AnyRow, Append]] = []
    new_entries: list[dict[str, Any]] = []
    new_events: list[dict[str, Any]] = []
    for append in appends:
        row = found.get(append.lease.task)
        errors.append(_refusal(row, append, ends))
        if errors[-1] is None and row is not None:
            accepted.append((row, append))
            end = ends[row.number]
            for data in append.entries:
                end.entry += 1
                new_entries.append({"task": row.number, "seq": end.entry, "at": append.at, "data": data})
            for seq, data in append.events:
                end.event = seq
                new_events.append({"task": row.number, "seq": seq, "data": data})
    if new_entries:
        connection.execute(_insert_entries, new_entries)
    if new_events:
        connection.execute(_insert_events, new_events)
    _follow(connection, accepted)
    return errors


def begin_session(connection: Connection, number: int, at: float, session: Sequence[Entry]) -> None:
    """Write what the session of a new task begins with."""
    rows = [{"task": number, "seq": seq, "at": at, "data": encode_entry(entry)} for seq, entry in enumerate(session, 1)]
    if rows:
        connection.execute(_insert_entries, rows)


def _refusal(row: AnyRow | None, append: Append, ends: dict[int, _End]) -> KugetsuError | None:
    if row is None or row.state != "running" or row.generation != append.lease.generation:
        return lost(append.lease)
    last = ends[row.number].event
    for seq, _ in append.events:
        if seq <= last:
            return RecordError(f"event {seq} of task {append.lease.task} cannot follow event {last}")
        last = seq
    return None


def _follow(connection: Connection, accepted: Sequence[tuple[AnyRow, Append]]) -> None:
    """Do what comes along: what was used up, the count of crashes, and notes that were taken."""
    book(connection, [(append.at, row.repo, append.spent) for row, append in accepted if append.spent is not None])
    free(connection, [row.number for row, append in accepted if append.spent is not None and row.reserved is not None])
    alive = [row.number for row, append in accepted if append.headway and row.crashes]
    if alive:
        connection.execute(_headway, {"numbers": alive})
    taken = [{"of_task": row.number, "note": note} for row, append in accepted for note in append.taken]
    if taken:
        connection.execute(_taken, taken)
