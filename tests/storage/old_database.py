"""Databases as earlier versions left them."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final, Literal

from kugetsu.events import Noted
from kugetsu.protocols import Effect
from kugetsu.sessions import Checkpoint
from kugetsu.storage import DATABASE_NAME, SqlStore
from kugetsu.storage.connecting import writing
from kugetsu.storage.upgrading import upgrade
from kugetsu.tasks import Budget, Budgets, Cancel, Pause, Say, Spent
from kugetsu.testing import FakeClock
from storage.store_lab import HEARD, Lab, a_call
from tasks.task_lab import a_task

TABLES: Final = ("tasks", "workers", "runs", "entries", "events", "notes", "dependencies", "effects")
"""What there was in version 0001."""

LEDGER: Final = ("spending", "reservations")
"""What came in version 0002."""

Old = Literal["unreleased", "0001", "0002"]
"""What a database may be: one as it was before the release of 0001, with the column `last_worker` and workers without a
lease; or of a version."""

Rows = dict[str, list[dict[str, object]]]


async def fill(home: Path) -> None:
    """Make a database of today with tasks in every state, and everything that can belong to one."""
    clock = FakeClock(auto=False)
    store = await SqlStore.open(home, clock)
    lab = Lab(store, clock)
    await store.submit(a_task("keyed"), key="a key")
    await lab.submit("later", start_at=lab.now + 600, deadline_at=lab.now + 900)
    claim = await lab.running("busy", place=True)
    await store.append(claim.lease, [HEARD, *a_call(1, done=True), Checkpoint(1)])
    await store.append(claim.lease, a_call(2), events=[Noted(task="busy", seq=seq, message="hm") for seq in (2, 5)])
    await store.begin_effect(claim.lease, Effect(0, "deliver", "{}"))
    await store.append(claim.lease, [], spent=Spent(usd=2, tokens=7))
    await store.reserve(claim.lease, Spent(1), Spent(2), Budgets(day=Budget(usd=9)))
    await store.control("busy", Say("look here", key="once"))
    await lab.submit("blocked", after=("busy", "keyed"))
    await lab.submit("paused")
    await store.control("paused", Pause())
    await lab.submit("cancelled_early")
    await store.control("cancelled_early", Cancel())
    for state in ("completed", "failed", "cancelled", "pending"):
        await lab.settle(await lab.running(f"was_{state}", place=True), state)
    await lab.settle(await lab.running("asks"), "waiting", question="which?")
    await lab.settle(await lab.running("rests"), "waiting")
    await lab.settle(await lab.running("parked"), "waiting", available_at=lab.now + 60)
    await lab.running("given_back", worker="gone")
    await store.retire("gone")
    await store.close()


def rows_of(path: Path) -> Rows:
    """Everything in the tables that earlier versions had; of the ledger, what there is."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        there = {row["name"] for row in connection.execute("SELECT name FROM sqlite_master")}
        return {
            name: sorted((dict(row) for row in connection.execute(f"SELECT * FROM {name}")), key=repr)  # noqa: S608 - named above
            for name in (*TABLES, *LEDGER)
            if name in there
        }


def version_of(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        (version,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(version)


def make_old(home: Path, *, like: Path, old: Old = "0001") -> Path:
    """Make a database of an earlier version that holds, as far as that could, what another one of today does.

    Args:
        home: where.
        like: the home of the other one.
        old: what it is to be.
    """
    unreleased = old == "unreleased"
    home.mkdir()
    path = home / DATABASE_NAME
    engine = writing(path, remaking=True)
    with engine.begin() as new:
        upgrade(new, "0001" if unreleased else old)
    engine.dispose()
    with closing(sqlite3.connect(path)) as connection, connection:
        if unreleased:
            _take_back(connection)
        connection.execute("ATTACH ? AS other", (str(like / DATABASE_NAME),))
        for name in (*TABLES, *LEDGER) if old == "0002" else TABLES:
            columns = [row[1] for row in connection.execute(f"PRAGMA main.table_info({name})")]
            named = ", ".join(f'"{column}"' for column in columns)
            values = named.replace('"last_worker"', "'gone'")
            if name == "tasks" and old != "0002":
                for column, value in (("ready", "0"), ("wakes_at", "NULL")):
                    values = values.replace(f'"{column}"', f"CASE state WHEN 'waiting' THEN {value} ELSE {column} END")
            connection.execute(f"INSERT INTO main.{name} ({named}) SELECT {values} FROM other.{name}")  # noqa: S608 - see above
        if unreleased:
            connection.execute("INSERT INTO workers VALUES ('gone', 'host', 1, '', 1.0, NULL)")
    return path


def _take_back(connection: sqlite3.Connection) -> None:
    """Undo what was changed in version 0001 before its release."""
    (tasks,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'tasks'").fetchone()
    named = connection.execute("SELECT sql FROM sqlite_master WHERE tbl_name = 'tasks' AND type = 'index' AND sql > ''")
    indexes = [sql for (sql,) in named.fetchall()]
    (workers,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'workers'").fetchone()
    connection.execute("DROP TABLE tasks")
    connection.execute("DROP TABLE workers")
    connection.execute(tasks.replace("rank DOUBLE", "last_worker VARCHAR NOT NULL, \n\trank DOUBLE"))
    connection.execute(workers.replace("expires_at DOUBLE NOT NULL", "expires_at DOUBLE"))
    for sql in [*indexes, "CREATE INDEX workers_leased ON workers (expires_at) WHERE expires_at IS NOT NULL"]:
        connection.execute(sql)
