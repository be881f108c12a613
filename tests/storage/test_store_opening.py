import asyncio
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from kugetsu.errors import RecordError
from kugetsu.storage import DATABASE_NAME, SqlStore, check, opening
from kugetsu.storage.schema import metadata
from kugetsu.storage.upgrading import configuration
from tasks.task_lab import a_task


def database(home: Path) -> Path:
    return home / DATABASE_NAME


async def make(home: Path, *names: str) -> None:
    store = await SqlStore.open(home)
    for name in names:
        await store.submit(a_task(name))
    await store.close()


def made_of(path: Path) -> dict[str, list[str]]:
    """What each table and index consists of; the order of constraints, and quotes around names, say nothing."""
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    connection.close()
    return {
        name: sorted(line.strip(", ").replace('"', "") for line in re.split(r"[\n\t]+|, (?=\w+ [A-Z]+)", sql))
        for name, sql in rows
        if "alembic" not in name
    }


@contextmanager
def nobody() -> Iterator[None]:
    """Be a user without rights; for root alone has those that tests take away."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that other users can look into."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    path.chmod(0o755)
    shutil.rmtree(path)


async def test_the_database_and_its_directory_are_for_their_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "some" / "home"
    await make(home)
    assert database(home).stat().st_mode & 0o777 == 0o600
    assert home.stat().st_mode & 0o777 == 0o700


def test_a_migrated_database_is_that_of_the_schema(tmp_path: Path) -> None:
    migrated, fresh = tmp_path / "migrated.db", tmp_path / "fresh.db"
    opening.prepare(migrated)
    opening.prepare_empty(fresh)
    assert made_of(migrated) == made_of(fresh)
    engine = create_engine(f"sqlite:///{migrated}", poolclass=NullPool)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_newest_version_is_that_of_the_last_migration() -> None:
    scripts = ScriptDirectory.from_config(configuration())
    assert scripts.get_heads() == [opening.VERSION]
    revisions = [script.revision for script in scripts.walk_revisions()]
    assert sorted(revisions, reverse=True) == revisions
    assert all(revision.isdecimal() for revision in revisions)


async def test_what_is_kept_is_there_when_the_database_is_opened_again(home: Path) -> None:
    await make(home, "a")
    store = await SqlStore.open(home)
    assert (await store.find("a")).task == a_task("a")
    await store.close()


async def test_a_database_that_was_only_begun_is_completed(home: Path) -> None:
    home.mkdir()
    database(home).touch()
    await make(home, "a")


def test_processes_that_start_at_once_on_a_fresh_home_all_succeed(home: Path) -> None:
    program = (
        "import asyncio, sys; from pathlib import Path; from kugetsu.storage import SqlStore; "
        "from kugetsu.tasks import Task\n"
        "async def main(home, name):\n"
        "    store = await SqlStore.open(home)\n"
        "    await store.submit(Task(id=name, prompt='p', repo='r', model='m'))\n"
        "    await store.close()\n"
        "asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))"
    )
    children = [subprocess.Popen([sys.executable, "-W", "error", "-c", program, str(home), f"t{n}"]) for n in range(4)]
    assert [child.wait() for child in children] == [0, 0, 0, 0]
    with sqlite3.connect(database(home)) as connection:
        assert connection.execute("SELECT count(*) FROM tasks").fetchone() == (4,)
    connection.close()


async def test_only_a_database_of_an_older_version_needs_alembic(home: Path) -> None:
    await make(home)
    program = (
        "import asyncio, sys; from pathlib import Path; from kugetsu.storage import SqlStore\n"
        "async def main():\n"
        "    store = await SqlStore.open(Path(sys.argv[1]))\n"
        "    await store.close()\n"
        "asyncio.run(main()); sys.exit('alembic' in sys.modules)"
    )
    done = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", program, str(home)], check=False)
    assert done.returncode == 0


def test_the_store_imports_no_dialect_of_another_engine() -> None:
    program = "import sys, kugetsu.storage; sys.exit('sqlalchemy.dialects.postgresql' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


async def test_a_database_of_a_newer_version_is_refused(home: Path) -> None:
    await make(home, "a")
    with sqlite3.connect(database(home)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0999'")
    connection.close()
    with pytest.raises(RecordError, match=rf"version 0999.*{opening.VERSION}.*upgrade kugetsu"):
        await SqlStore.open(home)


async def test_a_database_of_another_program_is_refused_and_left_alone(home: Path) -> None:
    home.mkdir()
    with sqlite3.connect(database(home)) as connection:
        connection.execute("CREATE TABLE tasks (id)")
    connection.close()
    with pytest.raises(RecordError, match="is no database of kugetsu"):
        await SqlStore.open(home)
    assert list(made_of(database(home))) == ["tasks"]


@pytest.mark.parametrize("content", [b"no database at all\n" * 500, b"SQLite format 3\0" + b"\xff" * 9_000])
async def test_a_file_that_is_no_database_is_refused_and_left_alone(home: Path, content: bytes) -> None:
    home.mkdir()
    database(home).write_bytes(content)
    with pytest.raises(RecordError, match=re.escape(str(database(home)))) as caught:
        await SqlStore.open(home)
    assert "no database" in caught.value.message or "damaged" in caught.value.message
    assert caught.value.fix
    assert database(home).read_bytes() == content


async def test_a_home_that_cannot_be_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(RecordError, match=r"cannot open .*"):
        await SqlStore.open(tmp_path / "home")
    (tmp_path / "other" / DATABASE_NAME).mkdir(parents=True)
    with pytest.raises(RecordError, match=r"cannot open .*Is a directory"):
        await SqlStore.open(tmp_path / "other")


async def test_a_database_that_is_read_only_is_refused(open_directory: Path) -> None:
    await make(open_directory, "a")
    database(open_directory).chmod(0o444)
    with nobody(), pytest.raises(RecordError, match=r"Permission denied.*rights"):
        await SqlStore.open(open_directory)


async def test_a_directory_that_is_read_only_is_refused(open_directory: Path) -> None:
    open_directory.chmod(0o555)
    with nobody(), pytest.raises(RecordError, match=r"Permission denied.*KUGETSU_HOME"):
        await SqlStore.open(open_directory)
    assert list(open_directory.iterdir()) == []


async def test_reading_where_there_is_no_database_makes_none(home: Path) -> None:
    store = await SqlStore.open(home, create=False)
    assert await store.reports() == []
    assert await store.workers() == []
    with pytest.raises(RecordError, match="there is no database"):
        await store.submit(a_task())
    await store.close()
    assert not home.exists()
    assert not store.path.parent.exists()


async def test_reading_where_there_is_a_database_finds_it(home: Path) -> None:
    await make(home, "a")
    store = await SqlStore.open(home, create=False)
    assert [report.id for report in await store.reports()] == ["a"]
    await store.close()


@pytest.mark.parametrize("logged", [False, True], ids=["at_rest", "with_its_log"])
async def test_a_home_that_is_read_only_can_be_read(open_directory: Path, *, logged: bool) -> None:
    await make(open_directory, "a")
    user = await SqlStore.open(open_directory) if logged else None
    if user is not None:
        await user.submit(a_task("b"))
    for path in open_directory.iterdir():
        path.chmod(0o444)
    open_directory.chmod(0o555)
    before = sorted(open_directory.iterdir())
    with nobody():
        store = await SqlStore.open(open_directory, create=False)
        assert [report.id for report in await store.reports()] == (["b", "a"] if logged else ["a"])
        with pytest.raises(RecordError, match=r"cannot write .*rights"):
            await store.submit(a_task("c"))
        await store.close()
        assert await check(open_directory) == []
    assert sorted(open_directory.iterdir()) == before
    if user is not None:
        open_directory.chmod(0o755)
        await user.close()


async def test_a_home_that_is_read_only_and_of_an_older_version_is_refused_in_words(open_directory: Path) -> None:
    await make(open_directory)
    with sqlite3.connect(database(open_directory)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000'")
    connection.close()
    database(open_directory).chmod(0o444)
    open_directory.chmod(0o555)
    with nobody(), pytest.raises(RecordError, match=r"version 0000.*read-only"):
        await SqlStore.open(open_directory, create=False)


async def test_a_database_that_cannot_be_read_is_refused(open_directory: Path) -> None:
    await make(open_directory)
    database(open_directory).chmod(0o000)
    with nobody(), pytest.raises(RecordError, match=r"Permission denied.*rights"):
        await SqlStore.open(open_directory, create=False)
