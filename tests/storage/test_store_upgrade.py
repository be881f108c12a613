"""A database of an earlier version is brought to the newest one, or stays what it was."""

import asyncio
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import get_args

import pytest
from sqlalchemy import Engine, event

from kugetsu.errors import RecordError
from kugetsu.storage import DATABASE_NAME, SqlStore, check, opening
from kugetsu.storage.connecting import writing
from kugetsu.storage.upgrading import upgrade
from kugetsu.testing import FakeClock
from storage.old_database import LEDGER, Old, Rows, fill, make_old, rows_of, version_of
from storage.store_lab import Lab
from tasks.task_lab import a_task

VARIANTS = pytest.mark.parametrize("old", get_args(Old))

CHILD = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import Engine, event
from kugetsu.storage import opening

def die(_connection, _cursor, statement, *_rest):
    if sys.argv[2] in statement:
        os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[2]:
    event.listen(Engine, "before_cursor_execute", die)
opening.prepare(Path(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def today(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a database of today."""
    home = tmp_path_factory.mktemp("today") / "home"
    asyncio.run(fill(home))
    return home


@pytest.fixture
def expected(today: Path) -> Rows:
    return rows_of(today / DATABASE_NAME)


def as_known(expected: Rows, old: Old = "0001") -> Rows:
    """What is to be there of the rows of today: of the ledger nothing, when it came later."""
    return expected if old == "0002" else {**expected, **{name: [] for name in LEDGER}}


def indexes_of(path: Path) -> dict[str, str]:
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        return {name: re.sub(r'["\s]+', " ", sql) for name, sql in connection.execute(query)}


@contextmanager
def at_each_statement(act: Callable[[str], None]) -> Iterator[None]:
    """Do something before everything that is sent to any database."""

    def before(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        act(statement)

    event.listen(Engine, "before_cursor_execute", before)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", before)


@VARIANTS
def test_nothing_is_lost_or_changed_when_a_database_is_brought_over(
    tmp_path: Path, today: Path, expected: Rows, old: Old
) -> None:
    path = make_old(tmp_path / "home", like=today, old=old)
    opening.prepare(path)
    assert version_of(path) == opening.VERSION
    assert rows_of(path) == as_known(expected, old)
    assert indexes_of(path) == indexes_of(today / DATABASE_NAME)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@VARIANTS
async def test_work_goes_on_where_it_was_after_a_database_was_brought_over(
    tmp_path: Path, today: Path, old: Old
) -> None:
    make_old(tmp_path / "home", like=today, old=old)
    clock = FakeClock(auto=False)
    store = await SqlStore.open(tmp_path / "home", clock)
    lab = Lab(store, clock)
    assert [state.info.id for state in await store.workers()] == ["w"]
    assert len(await store.session("busy")) == 7
    assert await lab.claim() == ["keyed", "was_pending", "rests", "given_back"]
    assert await store.next_start() == lab.now + 60
    clock.advance(60)
    assert await lab.claim() == ["parked"]
    assert (await lab.find("asks")).question == "which?"
    assert not (await store.submit(a_task("again", prompt="do keyed"), key="a key")).created
    await store.close()
    assert await check(tmp_path / "home") == []


@VARIANTS
async def test_events_are_numbered_in_the_order_in_which_they_were_written_down(
    tmp_path: Path, today: Path, old: Old
) -> None:
    make_old(tmp_path / "home", like=today, old=old)
    store, like = await SqlStore.open(tmp_path / "home"), await SqlStore.open(today)
    told = await store.feed()
    assert told == await like.feed()
    tasks = [numbered.event.task for numbered in told]
    assert tasks != sorted(tasks)
    assert tasks.count("busy") == 3
    await store.submit(a_task("next"))
    assert await store.last_event() == told[-1].number + 1
    await like.close()
    await store.close()


@VARIANTS
async def test_nobody_is_told_of_what_went_on_before_there_was_anybody_to_tell(
    tmp_path: Path, today: Path, old: Old
) -> None:
    make_old(tmp_path / "home", like=today, old=old)
    store = await SqlStore.open(tmp_path / "home")
    assert await store.changes() == []
    await store.submit(a_task("next", subject="github.com/octo/cat#1"))
    assert [change.task for change in await store.changes()] == ["next"]
    assert (await store.find("octo/cat#1")).id == "next"
    await store.close()


async def test_a_number_that_was_given_once_is_not_given_again(tmp_path: Path, today: Path, expected: Rows) -> None:
    path = make_old(tmp_path / "home", like=today)
    last = max(int(str(row["number"])) for row in expected["tasks"])
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("DELETE FROM tasks WHERE number = ?", (last,))
    store = await SqlStore.open(tmp_path / "home")
    assert (await store.submit(a_task("next"))).record.number == last + 1
    await store.close()


async def test_an_empty_database_is_brought_over(tmp_path: Path) -> None:
    store = await SqlStore.open(tmp_path / "empty")
    await store.close()
    make_old(tmp_path / "home", like=tmp_path / "empty")
    store = await SqlStore.open(tmp_path / "home")
    assert (await store.submit(a_task("first"))).record.number == 1
    await store.close()


@pytest.mark.drill
@VARIANTS
def test_whatever_an_interruption_leaves_can_be_brought_over_again(
    tmp_path: Path, today: Path, expected: Rows, old: Old
) -> None:
    path = make_old(tmp_path / "home", like=today, old=old)
    before, version = rows_of(path), version_of(path)
    left: list[Path] = []

    def keep(statement: str) -> None:
        """What is on the disk at this moment is what a process leaves that is killed now."""
        if not statement.startswith(("PRAGMA", "SELECT")):
            left.append(tmp_path / f"left{len(left)}")
            shutil.copytree(path.parent, left[-1])

    with at_each_statement(keep):
        opening.prepare(path)
    assert len(left) > 15
    for home in left:
        remains = home / DATABASE_NAME
        assert version_of(remains) == version
        assert rows_of(remains) == before
        opening.prepare(remains)
        assert rows_of(remains) == as_known(expected, old)


@pytest.mark.parametrize(
    "at",
    ["DROP TABLE tasks", "RENAME TO tasks", "INSERT INTO events", "DROP TABLE events_old", "UPDATE alembic_version"],
)
def test_a_process_that_is_killed_in_the_middle_has_changed_nothing(
    tmp_path: Path, today: Path, expected: Rows, at: str
) -> None:
    path = make_old(tmp_path / "home", like=today)
    before = rows_of(path)
    killed = subprocess.run([sys.executable, "-c", CHILD, str(path), at], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (version_of(path), rows_of(path)) == ("0001", before)
    opening.prepare(path)
    assert (version_of(path), rows_of(path)) == (opening.VERSION, as_known(expected))


def test_processes_that_bring_a_database_over_at_once_do_it_once(tmp_path: Path, today: Path, expected: Rows) -> None:
    path = make_old(tmp_path / "home", like=today)
    children = [subprocess.Popen([sys.executable, "-W", "error", "-c", CHILD, str(path), ""]) for _ in range(2)]
    assert [child.wait() for child in children] == [0, 0]
    assert rows_of(path) == as_known(expected)


def test_on_a_full_disk_a_database_stays_what_it_was(
    tmp_path: Path, today: Path, expected: Rows, files_of_at_most: Callable[[int], AbstractContextManager[None]]
) -> None:
    path = make_old(tmp_path / "home", like=today)
    before = rows_of(path)
    with files_of_at_most(path.stat().st_size // 4), pytest.raises(RecordError, match="cannot open"):
        opening.prepare(path)
    assert (version_of(path), rows_of(path)) == ("0001", before)
    opening.prepare(path)
    assert rows_of(path) == as_known(expected)


def test_tables_are_not_made_anew_where_what_belongs_to_them_would_go_with_them(tmp_path: Path, today: Path) -> None:
    path = make_old(tmp_path / "home", like=today)
    engine = writing(path)
    with pytest.raises(AssertionError, match="foreign keys"), engine.begin() as connection:
        upgrade(connection)
    engine.dispose()
    assert version_of(path) == "0001"
