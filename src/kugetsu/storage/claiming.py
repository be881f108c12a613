"""Who gets which task, and for how long: leases, the queue, and the limits of what runs at the same time."""

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Select, func, insert, literal_column, or_, select, update

from kugetsu.messages import well_formed
from kugetsu.protocols import Claim, Concurrency, WorkerInfo
from kugetsu.storage.changing import sound, tell_dependents
from kugetsu.storage.moving import last_events
from kugetsu.storage.notes import waiting_notes
from kugetsu.storage.rows import AnyRow, named, no_lease, write
from kugetsu.storage.schema import owned, ready, runs, tasks, workers
from kugetsu.tasks import Claiming, TaskRecord, claimed, expired

_log = logging.getLogger(__name__)

_MOST_AT_ONCE: Final = 1_000

_promote: Final = update(tasks).values(ready=True, wakes_at=None)
_running: Final = select(tasks.c.repo, tasks.c.model, func.count()).where(owned).group_by(tasks.c.repo, tasks.c.model)
_to_cancel: Final = tasks.c.wanted == literal_column("'cancel'")


def register(connection: Connection, worker: WorkerInfo, until: float, now: float) -> None:
    """Give a worker its lease."""
    found = connection.execute(update(workers).where(workers.c.id == worker.id).values(expires_at=until))
    if not found.rowcount:
        row = {"id": worker.id, "host": worker.host, "pid": worker.pid, "name": well_formed(worker.name)}
        connection.execute(insert(workers), {**row, "started_at": now, "expires_at": until})


def renew(connection: Connection, worker: str, until: float) -> None:
    """Extend a worker's lease."""
    if not connection.execute(update(workers).where(workers.c.id == worker).values(expires_at=until)).rowcount:
        raise no_lease(worker)


def claim(connection: Connection, worker: str, most: int, limits: Concurrency, now: float) -> list[Claim]:
    """Take the tasks that are next, after those that can never be started any more are failed."""
    require_lease(connection, worker)
    _expire(connection, now)
    connection.execute(_promote.where(tasks.c.wakes_at <= now))
    lanes = _Lanes(connection, limits)
    claims: list[Claim] = []
    while len(claims) < most:
        room = min(most - len(claims), _MOST_AT_ONCE)
        rows = connection.execute(lanes.next().limit(room)).all()
        records = [record for row in rows if (record := _admitted(connection, lanes, row, now)) is not None]
        claims += _take(connection, worker, records, "queue", now)
        if len(rows) < room:
            break
    return claims


def claim_task(connection: Connection, worker: str, task: str, claiming: Claiming, now: float) -> Claim:
    """Take one task, whatever its place in the queue."""
    record = named(connection, task)
    require_lease(connection, worker)
    (claim,) = _take(connection, worker, [record], claiming, now)
    return claim


def require_lease(connection: Connection, worker: str) -> None:
    """Look whether a worker has a lease.

    Raises:
        LeaseLostError: it has none.
    """
    if connection.scalar(select(workers.c.expires_at).where(workers.c.id == worker)) is None:
        raise no_lease(worker)


class _Lanes:
    """How many tasks of each repository and with each model run, and what that leaves room for."""

    def __init__(self, connection: Connection, limits: Concurrency) -> None:
        self._limits = limits
        self._closed = {well_formed(model) for model in limits.closed}
        self._repositories: Counter[str] = Counter()
        self._models: Counter[str] = Counter()
        self._limited = limits != Concurrency()
        if self._limited:
            for repo, model, count in connection.execute(_running):
                self._repositories[repo] += count
                self._models[model] += count

    def next(self) -> Select[Any]:
        """Select what may start now, in order."""
        conditions = [ready]
        repositories = [repo for repo in self._repositories if self._full_repository(repo)]
        models = [*self._closed, *(model for model in self._models if self._full_model(model))]
        if repositories:
            conditions.append(or_(tasks.c.repo.not_in(repositories), _to_cancel))
        if models:
            conditions.append(or_(tasks.c.model.not_in(models), _to_cancel))
        return select(tasks).where(*conditions).order_by(tasks.c.rank, tasks.c.number)

    def hold(self, row: AnyRow) -> bool:
        """Whether there is a place left for a task. One that is to be cancelled is always let in."""
        return row.wanted == "cancel" or not (self._full_repository(row.repo) or self._full_model(row.model))

    def take(self, row: AnyRow) -> None:
        """Count a task in."""
        self._repositories[row.repo] += 1
        self._models[row.model] += 1

    def _full_repository(self, repo: str) -> bool:
        limit = self._limits.repositories.get(repo, self._limits.repository)
        return 0 < limit <= self._repositories[repo]

    def _full_model(self, model: str) -> bool:
        limit = self._limits.models.get(model, self._limits.model)
        return 0 < limit <= self._models[model]


def _admitted(connection: Connection, lanes: _Lanes, row: AnyRow, now: float) -> TaskRecord | None:
    """Count a task in; None when there is no place left for it, or its record is damaged."""
    if not lanes.hold(row):
        return None
    for record in sound(connection, [row], now):
        lanes.take(row)
        return record
    return None


def _expire(connection: Connection, now: float) -> None:
    """Fail tasks whose deadline passed before they were ever started."""
    rows = connection.execute(select(tasks).where(tasks.c.expires_at <= now)).all()
    before = sound(connection, rows, now)
    after = [expired(record) for record in before]
    write(connection, zip(before, after, strict=True), now)
    for record in after:
        _log.warning("task %s has failed: its deadline passed before it was started", record.id)
        tell_dependents(connection, record, now)


def _take(
    connection: Connection, worker: str, before: Sequence[TaskRecord], claiming: Claiming, now: float
) -> list[Claim]:
    if not before:
        return []
    numbers = [record.number for record in before]
    after = [claimed(record, worker, claiming=claiming) for record in before]
    write(connection, zip(before, after, strict=True), now)
    if claiming != "rewind":
        connection.execute(
            insert(runs),
            [
                {"task": record.number, "generation": record.generation, "worker": worker, "started_at": now}
                for record in after
            ],
        )
    notes = waiting_notes(connection, numbers)
    events = last_events(connection, numbers)
    return [
        Claim(
            record=record,
            notes=tuple(notes.get(record.number, ())),
            last_event=events.get(record.number, 0),
        )
        for record in after
    ]
