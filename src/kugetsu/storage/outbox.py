"""The outbox: changes of which nobody was told yet, and news on their way."""

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, cast

import msgspec
from sqlalchemy import Connection, Select, bindparam, delete, exists, func, insert, select, update

from kugetsu.errors import RecordError
from kugetsu.messages import well_formed
from kugetsu.protocols import DELIVERY_STATES, Change, Delivery, DeliveryState, News
from kugetsu.storage.moving import Move
from kugetsu.storage.rows import AnyRow, bounded, damaged, read_json
from kugetsu.storage.schema import changes, deliveries, pending, tasks

_move: Final = msgspec.json.Decoder(Move)
_payload: Final = msgspec.json.Decoder()

_insert_deliveries: Final = insert(deliveries)
_older: Final = deliveries.alias("older")
_waits: Final = exists().where(
    _older.c.task == deliveries.c.task,
    _older.c.target == deliveries.c.target,
    _older.c.state == "pending",
    _older.c.id < deliveries.c.id,
)
"""Whether older news for the same target about the same task are still on their way."""

_COLUMNS: Final = (tasks.c.id.label("task_id"), deliveries)
_listed: Final[Select[Any]] = select(*_COLUMNS).join(tasks, tasks.c.number == deliveries.c.task)
_take: Final = update(deliveries).where(deliveries.c.id == bindparam("this_delivery")).values(due_at=bindparam("until"))


def change_of(row: AnyRow) -> Change:
    """The change in a row, with the id of its task.

    Raises:
        RecordError: it is damaged.
    """
    move = read_json(_move, row.data, f"change {row.id} of task {row.task_id}")
    return Change(
        id=row.id, task=row.task_id, at=row.at, state=move.state, outcome=move.outcome, question=move.question
    )


def delivery_of(row: AnyRow) -> Delivery:
    """The delivery in a row, with the id of its task."""
    return Delivery(
        id=row.id,
        task=row.task_id,
        target=row.target,
        event=row.event,
        payload=row.payload,
        created_at=row.created_at,
        expires_at=row.expires_at,
        state=row.state,
        attempts=row.attempts,
        due_at=row.due_at,
        ended_at=row.ended_at,
        error=row.error,
    )


def require_sound(row: AnyRow) -> None:
    """Look whether the delivery in a row is one.

    Raises:
        RecordError: it is damaged.
    """
    what = f"delivery {row.id} of task {row.task_id}"
    try:
        msgspec.convert(msgspec.structs.asdict(delivery_of(row)), Delivery)
    except msgspec.ValidationError as error:
        raise damaged(what, error) from error
    read_json(_payload, row.payload, what)


def changes_of(connection: Connection, names: Collection[str], most: int) -> list[Change]:
    """Changes that nobody was told of, oldest first. Damaged ones are left out: see `check`."""
    query = select(tasks.c.id.label("task_id"), changes).join(tasks).order_by(changes.c.id)
    if names:
        query = query.where(changes.c.task.in_(_numbers(names)))
    # They are read as they are needed.
    return list(islice(_sound(connection.execute(query)), bounded(most)))


def route(connection: Connection, news: Mapping[int, Sequence[News]], now: float) -> None:
    """Turn changes into deliveries; those that are not there any more are left alone."""
    listed = select(changes.c.id, changes.c.task).where(changes.c.id.in_(list(news))).order_by(changes.c.id)
    found = connection.execute(listed).all()
    rows = [_row(number, one, now) for change, number in found for one in news[change]]
    if rows:
        connection.execute(_insert_deliveries, rows)
    connection.execute(delete(changes).where(changes.c.id.in_([change for change, _ in found])))


def take(
    connection: Connection, seconds: float, most: int, names: Collection[str], now: float, *, skip: Collection[str] = ()
) -> list[Delivery]:
    """Take what is due: the longest first, and of one task and one target the oldest alone."""
    query = _listed.where(pending, deliveries.c.due_at <= now, ~_waits)
    if names:
        query = query.where(deliveries.c.task.in_(_numbers(names)))
    if skip:
        query = query.where(deliveries.c.target.not_in([well_formed(target) for target in skip]))
    query = query.order_by(deliveries.c.due_at, deliveries.c.id).limit(bounded(most))
    found = [delivery_of(row) for row in connection.execute(query).all()]
    until = now + seconds
    if found:
        connection.execute(_take, [{"this_delivery": delivery.id, "until": until} for delivery in found])
    return [msgspec.structs.replace(delivery, due_at=until) for delivery in found]


def end_attempt(
    connection: Connection, delivery: Delivery, state: DeliveryState, error: str, due_at: float, now: float
) -> None:
    """Say how an attempt ended, unless somebody else did."""
    same = (deliveries.c.id == delivery.id, pending, deliveries.c.attempts == delivery.attempts)
    values: dict[str, Any] = {"state": state, "attempts": delivery.attempts + 1, "error": well_formed(error)}
    values |= {"due_at": due_at} if state == "pending" else {"ended_at": now}
    connection.execute(update(deliveries).where(*same).values(values))


def deliveries_of(
    connection: Connection, states: Collection[DeliveryState], names: Collection[str], most: int, before: int
) -> list[Delivery]:
    """Deliveries, newest first."""
    query = _listed.order_by(deliveries.c.id.desc()).limit(bounded(most) or None)
    if states:
        query = query.where(deliveries.c.state.in_(list(states)))
    if names:
        query = query.where(deliveries.c.task.in_(_numbers(names)))
    if before > 0:
        query = query.where(deliveries.c.id < bounded(before))
    return [delivery_of(row) for row in connection.execute(query)]


def retry(connection: Connection, ids: Collection[int], expires_at: float, now: float) -> list[Delivery]:
    """Let deliveries be tried again now: those named, or all that were given up."""
    these = deliveries.c.state != "delivered" if ids else deliveries.c.state.in_(["expired", "refused"])
    query = _listed.where(these).order_by(deliveries.c.id.desc())
    if ids:
        query = query.where(deliveries.c.id.in_([number for number in ids if number == bounded(number)]))
    found = [delivery_of(row) for row in connection.execute(query).all()]
    again: dict[str, Any] = {"state": "pending", "due_at": now, "expires_at": expires_at, "ended_at": None}
    if found:
        this = deliveries.c.id == bindparam("this_delivery")
        connection.execute(update(deliveries).where(this).values(again), [{"this_delivery": one.id} for one in found])
    return [msgspec.structs.replace(delivery, **again) for delivery in found]


def counts(connection: Connection) -> dict[DeliveryState, int]:
    """How many deliveries are in each state."""
    rows = connection.execute(select(deliveries.c.state, func.count()).group_by(deliveries.c.state)).all()
    return {**dict.fromkeys(DELIVERY_STATES, 0), **dict(cast("list[tuple[DeliveryState, int]]", rows))}


def clear(connection: Connection, before: float) -> int:
    """Forget deliveries that ended before a time; how many there were."""
    return connection.execute(delete(deliveries).where(deliveries.c.ended_at < before)).rowcount


def _row(number: int, news: News, now: float) -> dict[str, Any]:
    return {
        "task": number,
        "target": well_formed(news.target),
        "event": well_formed(news.event),
        "payload": well_formed(news.payload),
        "created_at": now,
        "expires_at": news.expires_at,
        "state": "pending",
        "attempts": 0,
        "due_at": now,
        "ended_at": None,
        "error": "",
    }


def _numbers(names: Collection[str]) -> Select[tuple[int]]:
    return select(tasks.c.number).where(tasks.c.id.in_([well_formed(name) for name in names]))


def _sound(rows: Iterable[AnyRow]) -> Iterator[Change]:
    for row in rows:
        with contextlib.suppress(RecordError):
            yield change_of(row)
