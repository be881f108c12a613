"""What is wrong with a database, for `kugetsu doctor`."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, func, select

from kugetsu.errors import RecordError
from kugetsu.storage.connecting import reading
from kugetsu.storage.failures import DATABASE_ERRORS, cannot
from kugetsu.storage.opening import DATABASE_NAME, version_of
from kugetsu.storage.rows import record_of
from kugetsu.storage.schema import entries, tasks

_MOST_NAMED: Final = 10


async def check(home: Path) -> list[str]:
    """Look through the database of a state home; changes nothing.

    Returns:
        What is wrong, one sentence each; nothing for a sound database, or when there is none.
    """
    return await asyncio.to_thread(_check, home / DATABASE_NAME)


def _check(path: Path) -> list[str]:
    if not path.exists():
        return []
    engine = reading(path, 1)
    try:
        with engine.connect() as connection:
            return list(_problems(connection, path))
    except DATABASE_ERRORS as error:
        return [str(cannot("read", path, error))]
    except RecordError as error:
        return [str(error)]
    finally:
        engine.dispose()


def _problems(connection: Connection, path: Path) -> Iterator[str]:
    pages = [str(row[0]) for row in connection.exec_driver_sql(f"PRAGMA quick_check({_MOST_NAMED})")]
    if pages != ["ok"]:
        yield from (f"{path} is damaged: {' '.join(line.split())}" for line in pages)
        return
    if not version_of(connection, path):
        return
    for row in connection.execute(select(tasks)):
        try:
            record_of(row)
        except RecordError as error:
            yield f"{path}: {error.message}"
    counted = func.count(), func.max(entries.c.seq)
    broken = select(tasks.c.id).join(entries).group_by(tasks.c.id).having(counted[0] != counted[1]).limit(_MOST_NAMED)
    for task in connection.scalars(broken):
        yield f"{path}: the session of task {task} has a gap"
