"""What happens to tasks, once it is decided: rows are read, the rules of `kugetsu.tasks` applied, and what changed is written.

Every function here is for a transaction that nobody else can write beside.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, insert, select, update

from kugetsu.messages import encode_json, well_formed
from kugetsu.protocols import Lease
from kugetsu.storage.appending import Append, append_all
from kugetsu.storage.evidence import evidence_of
from kugetsu.storage.rows import held, in_worker, named, readable, write
from kugetsu.storage.schema import dependencies, notes, runs, tasks, waiting, workers
from kugetsu.tasks import (
    FINAL_STATES,
    Control,
    Ending,
    Outcome,
    Place,
    TaskRecord,
    blocked_for_good,
    controlled,
    given_back,
    orphaned,
    placed,
    settled,
    unblocked,
)

_INTERRUPTED: Final = Outcome("interrupted", "its worker died")

_end_run: Final = update(runs).where(runs.c.task == bindparam("of_task"), runs.c.ended_at.is_(None))
_lease_ended: Final = update(workers).values(expires_at=None)


def place(connection: Connection, lease: Lease, where: Place, now: float) -> None:
    """Write down where the task's work is."""
    record = held(connection, lease)
    write(connection, [(record, placed(record, where))], now)


def settle(connection: Connection, lease: Lease, ending: Ending, append: Append, now: float) -> TaskRecord:
    """End a run, with its last entries and events."""
    record = held(connection, lease)
    if append.entries or append.events:
        (error,) = append_all(connection, [append])
        if error is not None:
            raise error
    after = settled(record, ending)
    write(connection, [(record, after)], now)
    end_runs(connection, [(after, ending.outcome)], now)
    tell_dependents(connection, after, now)
    return after


def control(connection: Connection, task: str, what: Control, now: float) -> TaskRecord:
    """Do what a user asks for."""
    record = named(connection, task)
    answers = connection.scalars(
        select(notes.c.text).where(notes.c.task == record.number, notes.c.kind == "answer", waiting)
    ).all()
    changed = controlled(record, what, answered=answers, now=now)
    write(connection, [(record, changed.record)], now)
    if changed.note is not None:
        _keep(connection, record.number, *changed.note, changed.key)
    if changed.record.final and not record.final:
        tell_dependents(connection, changed.record, now)
    return changed.record


def retire(connection: Connection, worker: str, now: float) -> list[str]:
    """End a worker's lease; what it has is given back."""
    before = readable(connection.execute(in_worker([worker])))
    after = [given_back(record) for record in before]
    write(connection, zip(before, after, strict=True), now)
    end_runs(connection, [(record, record.outcome) for record in after], now)
    connection.execute(_lease_ended.where(workers.c.id == worker))
    return [record.id for record in after]


def reap(connection: Connection, dead: Collection[str], now: float) -> list[TaskRecord]:
    """Take the tasks of workers that are dead, or have not been heard of for too long."""
    expired = connection.scalars(select(workers.c.id).where(workers.c.expires_at <= now)).all()
    gone = {*expired, *(well_formed(worker) for worker in dead)}
    if not gone:
        return []
    before = readable(connection.execute(in_worker(gone)))
    told = _Evidence(connection, {record.id: record.number for record in before})
    after = []
    for worker in gone:
        after += orphaned([record for record in before if record.worker == worker], now=now, evidence=told)
    before.sort(key=lambda record: record.number)
    after.sort(key=lambda record: record.number)
    write(connection, zip(before, after, strict=True), now)
    end_runs(connection, [(record, _INTERRUPTED) for record in after], now)
    connection.execute(_lease_ended.where(workers.c.id.in_(list(gone))))
    for record in after:
        tell_dependents(connection, record, now)
    return after


def tell_dependents(connection: Connection, record: TaskRecord, now: float) -> None:
    """Let tasks that wait for one that is over go on, or fail with it, and those that wait for these."""
    over = [record] if record.final else []
    while over:
        after = over.pop()
        for dependent in _dependents(connection, after):
            if after.state == "completed":
                now_waiting = unblocked(dependent)
            else:
                now_waiting = blocked_for_good(dependent, after)
                over.append(now_waiting)
            write(connection, [(dependent, now_waiting)], now)
        if after.state == "completed":
            met = update(dependencies).where(dependencies.c.after == after.number)
            connection.execute(met.values(met=True))


def end_runs(connection: Connection, ended: Sequence[tuple[TaskRecord, Outcome | None]], now: float) -> None:
    """Write down how the last runs of tasks ended."""
    if ended:
        connection.execute(
            _end_run,
            [
                {"of_task": record.number, "ended_at": now, "outcome": encode_json(outcome or _INTERRUPTED)}
                for record, outcome in ended
            ],
        )


def _dependents(connection: Connection, after: TaskRecord) -> list[TaskRecord]:
    """Tasks that still wait for another one."""
    rows = connection.execute(
        select(tasks)
        .join(dependencies, dependencies.c.task == tasks.c.number)
        .where(
            dependencies.c.after == after.number,
            dependencies.c.met.is_(False),
            tasks.c.blockers > 0,
            tasks.c.state.not_in(FINAL_STATES),
        )
        .order_by(tasks.c.number)
    ).all()
    return readable(rows)


def _keep(connection: Connection, number: int, kind: str, text: str, key: str) -> None:
    """Keep a note, unless one of its key is there."""
    name = well_formed(key) or None
    if name is not None:
        same = select(notes.c.id).where(notes.c.task == number, notes.c.key == name)
        if connection.execute(same).first() is not None:
            return
    row = {"task": number, "kind": kind, "text": well_formed(text), "key": name, "taken": False}
    connection.execute(insert(notes), row)


class _Evidence(Mapping[str, str]):
    """What tasks were doing, by their ids; looked up when it is asked for, which is rare."""

    def __init__(self, connection: Connection, numbers: Mapping[str, int]) -> None:
        self._connection = connection
        self._numbers = numbers

    def __getitem__(self, task: str) -> str:
        return evidence_of(self._connection, self._numbers[task])

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)
