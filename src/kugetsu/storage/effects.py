"""The outbox: what is done to the world outside, once."""

from typing import Any, Final, cast

from sqlalchemy import ColumnElement, Connection, insert, select, update

from kugetsu.messages import well_formed
from kugetsu.protocols import Effect, EffectState, Lease
from kugetsu.storage.rows import held
from kugetsu.storage.schema import effects

_NEW: Final = "new"


def begin(connection: Connection, lease: Lease, effect: Effect) -> EffectState:
    """Write down that something is about to be done; says what was known of it before."""
    number = held(connection, lease).number
    before = connection.scalar(select(effects.c.state).where(*_named(number, effect)))
    if before is None:
        connection.execute(insert(effects), _row(number, effect, "begun"))
    return cast("EffectState", before or _NEW)


def end(connection: Connection, lease: Lease, effect: Effect) -> None:
    """Write down that it is done."""
    number = held(connection, lease).number
    done = connection.execute(update(effects).where(*_named(number, effect)).values(state="done"))
    if not done.rowcount:
        connection.execute(insert(effects), _row(number, effect, "done"))


def _named(number: int, effect: Effect) -> tuple[ColumnElement[bool], ...]:
    return (effects.c.task == number, effects.c.turn == effect.turn, effects.c.call == well_formed(effect.call))


def _row(number: int, effect: Effect, state: EffectState) -> dict[str, Any]:
    call, payload = well_formed(effect.call), well_formed(effect.payload)
    return {"task": number, "turn": effect.turn, "call": call, "state": state, "payload": payload}
