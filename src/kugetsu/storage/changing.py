"""What happens to tasks, once it is decided: rows are read, the rules of `kugetsu.tasks` applied, and what changed is written.

Every function here is for a transaction that nobody else can write beside.
"""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from kugetsu.messages import encode_json, well_formed
from kugetsu.protocols import Lease
from kugetsu.storage.appending import Append, append_all
from kugetsu.storage.evidence import evidence_of
from kugetsu.storage.ledger import free
from kugetsu.storage.moving import Move, Moved, tell
from kugetsu.storage.rows import AnyRow, held, in_worker, named, record_if_sound, write
from kugetsu.storage.schema import dependencies, notes, runs, tasks, waiting, workers
from kugetsu.tasks import (
    FINAL_STATES,
    Control,
    Ending,
    Outcome,
    Place,
    Task,
    TaskRecord,
    TaskReport,
    TaskState,
    blocked_for_good,
    controlled,
    given_back,
    orphaned,
    overdue,
    placed,
    settled,
    unblocked,
)

_log = logging.getLogger(__name__)

_INTERRUPTED: Final = Outcome("interrupted", "its worker died")
_DAMAGED: Final = Outcome("internal", "its record is damaged")

_AT_REST: Final[dict[str, Any]] = {
    "state": "failed",
    "ready": False,
    "wakes_at": None,
    "expires_at": None,
    "worker": "",
    "blockers": 0,
    "wanted": "",
    "reason": "",
    "question": "",
}
"""The columns of a task that failed."""

_end_run: Final = update(runs).where(runs.c.task == bindparam("of_task"), runs.c.ended_at.is_(None))
_end_lease: Final = delete(workers)


def place(connection: Connection, lease: Lease, where: Place, now: float) -> None:
    """Write down where the task's work is."""
    record = held(connection, lease)
    write(connection, [(record, placed(record, where))], now)


def settle(
    connection: Connection,
    lease: Lease,
    ending: Ending,
    append: Append,
    now: float,
    *,
    told: TaskState | None = None,
) -> TaskRecord:
    """End a run, with its last entries and events, and with what it used up; `told` is the state that these name."""
    record = held(connection, lease)
    if not append.empty:
        (error,) = append_all(connection, [append])
        if error is not None:
            raise error
    after = settled(record, ending)
    write(connection, [(record, after)], now, told=told)
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
    before = sound(connection, connection.execute(in_worker([worker])).all(), now)
    after = [given_back(record) for record in before]
    write(connection, zip(before, after, strict=True), now)
    end_runs(connection, [(record, record.outcome) for record in after], now)
    connection.execute(_end_lease.where(workers.c.id == worker))
    return [record.id for record in after]


def reap(connection: Connection, dead: Collection[str], now: float) -> list[TaskRecord]:
    """Take the tasks of workers that are dead, or have not been heard of for too long."""
    expired = connection.scalars(select(workers.c.id).where(workers.c.expires_at <= now)).all()
    known = {well_formed(worker) for worker in dead}
    gone = {*expired, *known}
    if not gone:
        return []
    before = sound(connection, connection.execute(in_worker(gone)).all(), now)
    told = _Evidence(connection, {record.id: record.number for record in before})
    late = [overdue(record) for record in before if record.worker not in known]
    orphans: list[TaskRecord] = []
    for worker in known:
        orphans += orphaned([record for record in before if record.worker == worker], now=now, evidence=told)
    before.sort(key=lambda record: record.number)
    after = sorted([*late, *orphans], key=lambda record: record.number)
    write(connection, zip(before, after, strict=True), now)
    ended = [(record, record.outcome) for record in late] + [(record, _INTERRUPTED) for record in orphans]
    end_runs(connection, ended, now)
    connection.execute(_end_lease.where(workers.c.id.in_(list(gone))))
    for record in after:
        tell_dependents(connection, record, now)
    return after


def tell_dependents(connection: Connection, record: TaskRecord, now: float) -> None:
    """Let tasks that wait for one that is over go on, or fail with it, and those that wait for these."""
    over = [record] if record.final else []
    while over:
        after = over.pop()
        damaged: list[AnyRow] = []
        for row in _dependents(connection, after):
            dependent = record_if_sound(row)
            if dependent is None:
                damaged.append(row)
                continue
            if after.state == "completed":
                now_waiting = unblocked(dependent)
            else:
                now_waiting = blocked_for_good(dependent, after)
                _log.warning(
                    "task %s has failed: it waits for task %s, which is %s", dependent.id, after.id, after.state
                )
                over.append(now_waiting)
            write(connection, [(dependent, now_waiting)], now)
        if after.state == "completed":
            met = update(dependencies).where(dependencies.c.after == after.number)
            connection.execute(met.values(met=True))
        for row in damaged:
            give_up(connection, row, now)


def end_runs(connection: Connection, ended: Sequence[tuple[TaskRecord, Outcome | None]], now: float) -> None:
    """Write down how the last runs of tasks ended; what they have set aside is free again."""
    free(connection, [record.number for record, _ in ended])
    if ended:
        connection.execute(
            _end_run,
            [
                {"of_task": record.number, "ended_at": now, "outcome": encode_json(outcome or _INTERRUPTED)}
                for record, outcome in ended
            ],
        )


def sound(connection: Connection, rows: Sequence[AnyRow], now: float) -> list[TaskRecord]:
    """The records in rows. Tasks whose record is damaged fail: they must hold up neither others nor a place to run."""
    found = []
    for row in rows:
        record = record_if_sound(row)
        if record is None:
            give_up(connection, row, now)
        else:
            found.append(record)
    return found


def give_up(connection: Connection, row: AnyRow, now: float) -> None:
    """Fail a task whose record is damaged. What cannot be read stays as it is, for `check` to find."""
    _log.error("the record of task %s is damaged: the task has failed", row.id)
    columns = {"generation": row.generation + 1, "outcome": encode_json(_DAMAGED), **_AT_REST}
    connection.execute(update(tasks).where(tasks.c.number == row.number).values(columns))
    if row.state != "failed":
        tell(connection, [Moved(row.number, row.id, Move("failed", _DAMAGED))], now)
    # All that those who wait for it, and its runs, have to know.
    task = Task(id=row.id, prompt="", repo="", model="")
    known = TaskRecord(task=task, number=row.number, report=TaskReport.of(task), state="failed", outcome=_DAMAGED)
    end_runs(connection, [(known, _DAMAGED)], now)
    tell_dependents(connection, known, now)


def _dependents(connection: Connection, after: TaskRecord) -> Sequence[AnyRow]:
    """Tasks that still wait for another one."""
    return connection.execute(
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
