"""What the database or the system refused, in words."""

import errno
import sqlite3
from pathlib import Path
from typing import Final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from kugetsu.errors import RecordError

DATABASE_ERRORS: Final = (SQLAlchemyError, sqlite3.Error)
"""What the database raises: wrapped, or bare while a connection is made."""

BUSY_SECONDS: Final = 30.0
"""How long a process waits for another one to let go of the database."""

_SPACE: Final = "free some disk space; nothing that was written before is lost"
_RIGHTS: Final = "check the rights of it and of its directory, or set KUGETSU_HOME to one that you can write to"
LOOK: Final = "run `kugetsu doctor`; "
_RESTORE: Final = f"{LOOK}keep the file, and put a copy of it or an empty directory in its place"

_SYSTEM: Final = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: _RIGHTS,
    errno.ENOTDIR: "set KUGETSU_HOME to a directory",
}

# By the primary result code, see https://www.sqlite.org/rescode.html.
_DATABASE: Final = {
    sqlite3.SQLITE_BUSY: (
        f"another process has not let go of it for {BUSY_SECONDS:.0f} seconds",
        "look for a process that hangs with `fuser PATH`",
    ),
    sqlite3.SQLITE_FULL: ("the disk is full", _SPACE),
    sqlite3.SQLITE_READONLY: ("it is read-only", _RIGHTS),
    sqlite3.SQLITE_PERM: ("no permission", _RIGHTS),
    sqlite3.SQLITE_CANTOPEN: ("it cannot be opened", _RIGHTS),
    sqlite3.SQLITE_CORRUPT: ("it is damaged", _RESTORE),
    sqlite3.SQLITE_NOTADB: ("it is no database", _RESTORE),
    sqlite3.SQLITE_IOERR: ("the disk failed", "look at the disk's space and health, for example with `dmesg`"),
}

_FATAL: Final = frozenset({*_DATABASE, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_PROTOCOL})

_NOTHING_WRITTEN: Final = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_IOERR_WRITE,
    }
)
"""What a COMMIT says when its last page, without which it counts for nothing, was not written."""


def primary_code(error: Exception) -> int:
    """SQLite's result code without its details; 0 when there is none."""
    return _code(error) & 0xFF


def cannot(what: str, path: Path, error: Exception, *, unknown: bool = False) -> RecordError:
    """Make the error for a database that cannot be read or written.

    Args:
        what: `read`, `write`, `open`.
        path: of its file.
        error: of the database or of the system.
        unknown: whether what was to be written may be there all the same.
    """
    if isinstance(error, OSError):
        return RecordError(f"cannot {what} {path}: {error.strerror or error}", fix=_SYSTEM.get(error.errno or 0, ""))
    origin = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    said = " ".join(str(origin).split())
    meaning, fix = _DATABASE.get(primary_code(error), ("", ""))
    words = f"{meaning} ({said})" if meaning else said
    return RecordError(f"cannot {what} {path}: {words}", fix=fix.replace("PATH", str(path)), unknown=unknown)


def is_fatal(error: Exception) -> bool:
    """Whether nothing at all can be written, so that the transaction as a whole is lost."""
    return primary_code(error) in _FATAL


def is_unknown(error: Exception) -> bool:
    """Whether the transaction of a COMMIT that failed so may be there after the next start all the same."""
    code = _code(error)
    return code not in _NOTHING_WRITTEN and code & 0xFF not in _NOTHING_WRITTEN


def _code(error: Exception) -> int:
    origin = error.orig if isinstance(error, DBAPIError) else error
    return getattr(origin, "sqlite_errorcode", 0) or 0
