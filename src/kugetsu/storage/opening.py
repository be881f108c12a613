"""Opening the database: made if it is missing, brought to the newest version, or refused in words."""

import errno
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine, Select, column, inspect, select, table

from kugetsu.errors import RecordError
from kugetsu.storage.connecting import Access, reading, writing
from kugetsu.storage.failures import BUSY_SECONDS, DATABASE_ERRORS, cannot, primary_code
from kugetsu.storage.schema import metadata

T = TypeVar("T")

DATABASE_NAME: Final = "kugetsu.db"

VERSION: Final = "0003"
"""The newest version of the schema: the number of the last migration."""

_VERSIONS: Final = "alembic_version"
_version: Final[Select[Any]] = select(column("version_num")).select_from(table(_VERSIONS))
_BUSY: Final = 5


def prepare(path: Path) -> None:
    """Make the database if it is missing, and bring it to the newest version. Any number of processes may do so at once.

    Raises:
        RecordError: it cannot be made or opened, is no database of Kugetsu, or one of a newer version.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise cannot("open", path, error) from error
    _with_engine(path, lambda engine: _prepare(engine, path))


def prepare_reading(path: Path) -> Access:
    """Prepare a database that is there to be read; one that cannot be written to is taken as it is.

    Returns:
        How it can be opened.

    Raises:
        RecordError: as for `prepare`; or it cannot be written to, and is not of the newest version.
    """
    try:
        prepare(path)
    except RecordError as error:
        access = read_only(path, error.__cause__)
        if access is None:
            raise
        return access
    return ""


def prepare_empty(path: Path) -> None:
    """Make a database of the newest version that is soon thrown away."""

    def create(engine: Engine) -> None:
        with engine.begin() as connection:
            metadata.create_all(connection)

    _with_engine(path, create)


def version_of(connection: Connection, path: Path) -> str:
    """The version of a database; empty when there is nothing in it.

    Raises:
        RecordError: it is none of Kugetsu's, or of a newer version.
        DBAPIError: it cannot be read.
    """
    names = inspect(connection).get_table_names()
    if not names:
        return ""
    found = connection.execute(_version).scalars().all() if _VERSIONS in names else []
    version = found[0] if len(found) == 1 else ""
    if not version.isdecimal():
        raise RecordError(f"{path} is no database of kugetsu", fix="set KUGETSU_HOME to another directory")
    if int(version) > int(VERSION):
        raise RecordError(
            f"{path} is of version {version}, and this kugetsu knows versions up to {VERSION}",
            fix="upgrade kugetsu, or set KUGETSU_HOME to another directory",
        )
    return str(version)


def exists(path: Path) -> bool:
    """Whether there is a database.

    Raises:
        RecordError: it cannot be seen.
    """
    try:
        return path.exists()
    except OSError as error:
        raise cannot("open", path, error) from error


def read_only(path: Path, refusal: BaseException | None) -> Access | None:
    """How a database can be opened that cannot be written to.

    Args:
        path: of its file.
        refusal: what the database or the system said.

    Returns:
        None when it cannot be read either, or is refused for another reason.

    Raises:
        RecordError: it is not of the newest version.
    """
    if not _is_refused(refusal):
        return None
    if _version_read(path, "mode=ro"):
        return "mode=ro"
    log = path.with_name(f"{path.name}-wal")
    # Without its log, what is in there would be missed.
    if not (log.exists() and log.stat().st_size) and _version_read(path, "immutable=1"):
        return "immutable=1"
    return None


def _is_refused(error: BaseException | None) -> bool:
    """Whether it may be that the database can only be read."""
    if isinstance(error, OSError):
        return error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}
    codes = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}
    return isinstance(error, Exception) and primary_code(error) in codes


def _version_read(path: Path, access: Access) -> bool:
    """Whether the database can be read so.

    Raises:
        RecordError: it is not of the newest version.
    """
    engine = reading(path, 1, access)
    try:
        with engine.connect() as connection:
            version = version_of(connection, path)
    except DATABASE_ERRORS:
        return False
    finally:
        engine.dispose()
    if version != VERSION:
        raise RecordError(
            f"{path} is of version {version or 'none'}, and cannot be brought to version {VERSION}: it is read-only",
            fix="check the rights of it and of its directory",
        )
    return True


def _with_engine(path: Path, act: Callable[[Engine], None]) -> None:
    engine = writing(path, remaking=True)
    try:
        act(engine)
    except DATABASE_ERRORS as error:
        raise cannot("open", path, error) from error
    finally:
        engine.dispose()


def _prepare(engine: Engine, path: Path) -> None:
    _patiently(lambda: _write_ahead(engine))
    readers = reading(path, 1)
    try:
        with readers.connect() as connection:
            if version_of(connection, path) == VERSION:
                return
    finally:
        readers.dispose()
    with engine.begin() as connection:
        # Another process may have done it while this one waited for its turn.
        if version_of(connection, path) != VERSION:
            from kugetsu.storage.upgrading import upgrade  # noqa: PLC0415 - Alembic is slow to import and rarely needed

            upgrade(connection)


def _write_ahead(engine: Engine) -> None:
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode")
        if cursor.fetchone() != ("wal",):
            cursor.execute("PRAGMA journal_mode = WAL")
        cursor.close()
    finally:
        connection.close()


def _patiently(act: Callable[[], T]) -> T:
    """Change to write-ahead logging does not wait for other processes by itself."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return act()
        except DATABASE_ERRORS as error:
            if primary_code(error) != _BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.01)
