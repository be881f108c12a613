"""Tokens: digests of who may do what over HTTP."""

from typing import Final

import msgspec
from sqlalchemy import Connection, insert, or_, select, update

from kugetsu.errors import StateConflictError, UsageError
from kugetsu.messages import encode_json, well_formed
from kugetsu.protocols import Scope, Token
from kugetsu.storage.rows import AnyRow, read_json
from kugetsu.storage.schema import counting, tokens

_scopes: Final = msgspec.json.Decoder(tuple[Scope, ...])


def token_of(row: AnyRow) -> Token:
    """The token in a row.

    Raises:
        RecordError: it is damaged.
    """
    return Token(
        id=row.id,
        name=row.name,
        digest=row.digest,
        scopes=read_json(_scopes, row.scopes, f"token {row.id}"),
        created_at=row.created_at,
        revoked_at=row.revoked_at,
    )


def add(connection: Connection, token: Token) -> None:
    """Keep a token.

    Raises:
        StateConflictError: there is one of this id or of this name that counts.
    """
    row = {field: getattr(token, field) for field in ("digest", "created_at", "revoked_at")}
    name, number = well_formed(token.name), well_formed(token.id)
    there = select(tokens.c.id).where(or_(tokens.c.id == number, (tokens.c.name == name) & counting))
    if connection.execute(there).first() is not None:
        raise StateConflictError(
            f"there is a token {name!r} already", fix="give it another name, or revoke the one that is there"
        )
    connection.execute(insert(tokens), {**row, "id": number, "name": name, "scopes": encode_json(token.scopes)})


def all_of(connection: Connection) -> list[Token]:
    """All tokens, oldest first."""
    return [token_of(row) for row in connection.execute(select(tokens).order_by(tokens.c.number))]


def revoke(connection: Connection, name: str, now: float) -> Token:
    """Let a token count no longer.

    Raises:
        UsageError: there is none of this name or id.
    """
    called = well_formed(name)
    these = select(tokens).where(or_(tokens.c.name == called, tokens.c.id == called))
    # One that counts before those that did, and the latest of these.
    row = connection.execute(these.order_by(counting.desc(), tokens.c.number.desc())).first()
    if row is None:
        raise UsageError(f"there is no token {name!a}", fix="`kugetsu token list` shows all tokens")
    token = token_of(row)
    if token.revoked_at:
        return token
    connection.execute(update(tokens).where(tokens.c.number == row.number).values(revoked_at=now))
    return msgspec.structs.replace(token, revoked_at=now)
