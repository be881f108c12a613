"""Connections to the SQLite file."""

import sqlite3
from pathlib import Path
from typing import Any, Final, Literal

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.pool import NullPool, Pool, QueuePool

from kugetsu.storage.failures import BUSY_SECONDS

_CACHED_STATEMENTS: Final = 1_024
"""Prepared statements a connection keeps; a group of so many appends has a statement of its own size."""

_CHECKPOINT_PAGES: Final = 4_000
"""Pages of 4 KB in the write-ahead log after which they go to their places."""

_LOG_BYTES: Final = 64 * 1024 * 1024
"""What the write-ahead log is cut back to after it had to grow."""


_ARGUMENTS: Final[dict[str, Any]] = {
    "timeout": BUSY_SECONDS,
    "cached_statements": _CACHED_STATEMENTS,
    "check_same_thread": False,
    "isolation_level": None,  # transactions begin where this file says, not where the driver guesses
}


def writing(path: Path, *, remaking: bool = False) -> Engine:
    """Connections that hold the database for themselves from the beginning of each transaction, and make it durable.

    Args:
        path: of the file.
        remaking: for tables that are made anew: what belongs to their rows stays when the old ones are dropped.
    """
    pragmas = (
        "PRAGMA synchronous = FULL",
        f"PRAGMA foreign_keys = {'OFF' if remaking else 'ON'}",
        f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}",
        f"PRAGMA journal_size_limit = {_LOG_BYTES}",
        "PRAGMA cache_size = -8000",
    )
    return _engine(path, "BEGIN IMMEDIATE", pragmas, NullPool)


Access = Literal["", "mode=ro", "immutable=1"]
"""How a database is opened to be read: as usual; when it cannot be written to; or when even its log cannot be made."""


def reading(path: Path, most: int, access: Access = "") -> Engine:
    """Connections that see the database as it was at the beginning of each transaction, and hold up nobody."""
    options: dict[str, Any] = {"pool_size": most, "max_overflow": 0}
    if access:
        uri = f"{path.absolute().as_uri()}?{access}"
        options["creator"] = lambda: sqlite3.connect(uri, uri=True, **_ARGUMENTS)
    return _engine(path, "BEGIN", ("PRAGMA query_only = ON",), QueuePool, **options)


def _engine(path: Path, begin: str, pragmas: tuple[str, ...], pool: type[Pool], **options: Any) -> Engine:  # noqa: ANN401 - the pool's own
    url = URL.create("sqlite", database=str(path))
    engine = create_engine(url, poolclass=pool, connect_args=_ARGUMENTS, **options)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's connection
        try:
            for pragma in pragmas:
                connection.execute(pragma)
        except sqlite3.Error:
            connection.close()
            raise

    @event.listens_for(engine, "begin")
    def begin_transaction(connection: Any) -> None:  # noqa: ANN401 - see above
        connection.exec_driver_sql(begin)

    return engine
