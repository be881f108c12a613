import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from kugetsu.errors import LeaseLostError, QueueFullError, RecordError, StateConflictError
from kugetsu.messages import user
from kugetsu.protocols import Claim, Lease, WorkerInfo
from kugetsu.sessions import Heard
from kugetsu.storage import SqlStore, connecting
from kugetsu.storage.appending import Append
from kugetsu.storage.failures import cannot, is_unknown
from kugetsu.storage.writer import Writer
from tasks.task_lab import a_task

WORKER = WorkerInfo("w", "host", 1)
HEARD = Heard(user("hello"))


@contextmanager
def busy(path: Path) -> Iterator[None]:
    """Another process holds the database."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.close()


@contextmanager
def counted(store: SqlStore) -> Iterator[list[int]]:
    """One number for each transaction that is committed meanwhile."""
    commits: list[int] = []

    def count(_connection: object) -> None:
        commits.append(1)

    event.listen(store._writer._engine, "commit", count)
    yield commits
    event.remove(store._writer._engine, "commit", count)


@asynccontextmanager
async def one_group(store: SqlStore) -> AsyncIterator[asyncio.TaskGroup]:
    """What is begun here is done in one transaction: the one that another process held up."""
    async with asyncio.TaskGroup() as group:
        with busy(store.path):
            first = group.create_task(store.renew("w", 60))
            await asyncio.sleep(0)
            while not store._writer._jobs.empty():  # until the writer has taken the first job, and waits
                await asyncio.sleep(0.01)
            yield group
            await asyncio.sleep(0.05)
        await first


async def running(store: SqlStore, *names: str) -> list[Claim]:
    await store.register(WORKER, 60)
    for name in names:
        await store.submit(a_task(name))
    return await store.claim("w", len(names))


async def length(store: SqlStore, name: str) -> int:
    return len(await store.session(name))


async def refusal(call: "asyncio.Future[Any]") -> Any:
    return (await asyncio.gather(call, return_exceptions=True))[0]


async def test_what_waits_is_committed_together(store: SqlStore) -> None:
    claims = await running(store, *(f"t{n}" for n in range(20)))
    with counted(store) as commits:
        async with one_group(store) as group:
            for claim in claims:
                group.create_task(store.append(claim.lease, [HEARD]))
    assert len(commits) == 2  # what held it up, and all the others
    assert [await length(store, claim.record.id) for claim in claims] == [1] * 20


async def test_a_refused_job_disturbs_none_of_its_group(store: SqlStore) -> None:
    one, two = await running(store, "one", "two")
    stale = Lease("one", one.lease.generation - 1)

    async def expect(error: type[Exception], call: "asyncio.Future[object]") -> None:
        with pytest.raises(error):
            await call

    with counted(store) as commits:
        async with one_group(store) as group:
            group.create_task(store.append(one.lease, [HEARD]))
            group.create_task(expect(LeaseLostError, asyncio.ensure_future(store.append(stale, [HEARD] * 3))))
            group.create_task(store.append(two.lease, [HEARD]))
            group.create_task(store.submit(a_task("three")))
            group.create_task(expect(StateConflictError, asyncio.ensure_future(store.submit(a_task("one")))))
            group.create_task(
                expect(QueueFullError, asyncio.ensure_future(store.submit(a_task("four"), most_pending=1)))
            )
            # Refused after its row was written: the worker that shall have it has no lease.
            group.create_task(
                expect(LeaseLostError, asyncio.ensure_future(store.submit(a_task("five"), worker="nobody")))
            )
            group.create_task(store.append(one.lease, [HEARD]))
    assert len(commits) == 2
    assert (await length(store, "one"), await length(store, "two")) == (2, 1)
    assert sorted(report.id for report in await store.reports()) == ["one", "three", "two"]


@pytest.mark.parametrize(
    "broken",
    [
        {"at": None, "entries": [b"{}"]},  # what the schema forbids
        {"at": 1.0, "entries": [b"{}"], "events": [(2**70, b"{}")]},  # what no column can hold
        {"at": 1.0, "entries": [object()]},  # what no driver knows
    ],
)
async def test_an_append_that_cannot_be_written_disturbs_none_of_its_group(
    store: SqlStore, broken: dict[str, Any]
) -> None:
    one, two = await running(store, "one", "two")
    async with one_group(store) as group:
        group.create_task(store.append(one.lease, [HEARD]))
        call = store._writer.append(Append(one.lease, **broken))
        refused = group.create_task(refusal(asyncio.ensure_future(call)))
        group.create_task(store.append(two.lease, [HEARD]))
        group.create_task(store.submit(a_task("three")))
    assert isinstance(refused.result(), RecordError | OverflowError)
    assert (await length(store, "one"), await length(store, "two")) == (1, 1)
    assert (await store.find("three")).state == "pending"


async def test_commits_are_forced_to_the_disk(store: SqlStore) -> None:
    def settings(connection: Connection) -> tuple[object, object]:
        return connection.scalar(text("PRAGMA journal_mode")), connection.scalar(text("PRAGMA synchronous"))

    assert await store._writer.run(settings) == ("wal", 2)


async def test_entries_of_one_task_in_one_group_are_numbered_in_order(store: SqlStore) -> None:
    (one,) = await running(store, "one")
    async with one_group(store) as group:
        for number in range(5):
            group.create_task(store.append(one.lease, [Heard(user(f"{number}a")), Heard(user(f"{number}b"))]))
    log = await store.session("one")
    assert [line.seq for line in log] == list(range(1, 11))
    assert [line.entry for line in log] == [Heard(user(f"{number}{half}")) for number in range(5) for half in "ab"]


async def test_more_jobs_than_a_group_takes_are_all_done(store: SqlStore) -> None:
    async with one_group(store) as group:
        await store_soon(group, store)
    assert (await store.counts())["pending"] == 600


async def store_soon(group: asyncio.TaskGroup, store: SqlStore) -> None:
    for number in range(600):
        group.create_task(store.submit(a_task(f"t{number}")))


@pytest.fixture(autouse=True)
async def _worker(store: SqlStore) -> None:
    await store.register(WORKER, 60)


async def test_a_job_whose_caller_is_cancelled_is_done_all_the_same(store: SqlStore) -> None:
    with busy(store.path):
        caller = asyncio.ensure_future(store.submit(a_task("a")))
        await asyncio.sleep(0.05)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
    await store.renew("w", 60)
    assert (await store.find("a")).state == "pending"


async def test_the_event_loop_is_not_blocked_while_another_process_holds_the_database(store: SqlStore) -> None:
    lags = []

    async def probe() -> None:
        for _ in range(30):
            began = time.perf_counter()
            await asyncio.sleep(0.01)
            lags.append(time.perf_counter() - began)

    with busy(store.path):
        writing = asyncio.ensure_future(store.submit(a_task("a")))
        await probe()
        assert await store.reports() == []  # readers do not wait either
        assert not writing.done()
    await writing
    assert sorted(lags)[-3] < 0.5


@pytest.mark.drill
async def test_a_database_that_is_never_let_go_is_an_error_in_the_end(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "BUSY_SECONDS", 0.2)
    store = await SqlStore.open(home)
    with busy(store.path), pytest.raises(RecordError, match=r"another process.*fuser") as caught:
        await store.submit(a_task("a"))
    assert not caught.value.unknown
    await store.submit(a_task("a"))
    await store.close()


async def test_a_full_disk_fails_the_whole_group_and_loses_nothing_before(
    store: SqlStore, files_of_at_most: Callable[[int], AbstractContextManager[None]]
) -> None:
    one, two = await running(store, "one", "two")
    await store.append(one.lease, [HEARD])
    long = Heard(user("x" * 100_000))
    log = store.path.with_name(store.path.name + "-wal")
    with files_of_at_most(log.stat().st_size + 50_000):
        async with one_group(store) as group:
            calls = [store.append(one.lease, [long]), store.append(two.lease, [HEARD]), store.submit(a_task("three"))]
            refused = [group.create_task(refusal(asyncio.ensure_future(call))) for call in calls]
    errors = [task.result() for task in refused]
    assert all(isinstance(error, RecordError) and str(store.path) in error.message and error.fix for error in errors)
    assert not any(isinstance(error, RecordError) and error.unknown for error in errors)
    assert (await length(store, "one"), await length(store, "two")) == (1, 0)
    await store.append(one.lease, [long])  # there is room again
    assert await length(store, "one") == 2


async def test_a_database_that_may_not_grow_says_that_the_disk_is_full(store: SqlStore) -> None:
    (one,) = await running(store, "one")
    await store._writer.run(lambda connection: connection.execute(text("PRAGMA max_page_count = 1")).all())
    with pytest.raises(RecordError, match=r"the disk is full.*free some disk space"):
        await store.append(one.lease, [Heard(user("x" * 5_000_000))])
    kept = await length(store, "one")
    await store.append(one.lease, [HEARD])  # on a new connection, which has no such limit
    assert await length(store, "one") == kept + 1


@pytest.mark.parametrize(
    ("code", "unknown"),
    [
        (sqlite3.SQLITE_FULL, False),
        (sqlite3.SQLITE_IOERR_WRITE, False),
        (sqlite3.SQLITE_BUSY, False),
        (sqlite3.SQLITE_IOERR_FSYNC, True),
        (0, True),
    ],
)
def test_only_a_commit_whose_last_page_was_not_written_is_known_to_be_undone(code: int, *, unknown: bool) -> None:
    from sqlalchemy.exc import OperationalError

    origin = sqlite3.OperationalError("it failed")
    if code:
        origin.sqlite_errorcode = code
    error = OperationalError("COMMIT", None, origin)
    assert is_unknown(error) is unknown
    assert cannot("write", Path("/x"), error, unknown=unknown).unknown is unknown


async def test_closing_writes_what_is_under_way(home: Path) -> None:
    store = await SqlStore.open(home)
    calls = [asyncio.ensure_future(store.submit(a_task(f"t{number}"))) for number in range(50)]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*calls)
    with pytest.raises(RecordError, match="is closed"):
        await store.submit(a_task("late"))
    with pytest.raises(RecordError, match="is closed"):
        await store.reports()
    again = await SqlStore.open(home)
    assert (await again.counts())["pending"] == 50
    await again.close()


def test_the_writer_survives_an_event_loop_that_was_closed(home: Path) -> None:
    store = asyncio.run(SqlStore.open(home))
    writer = Writer(store.path)

    async def leave() -> None:
        hanging = asyncio.ensure_future(writer.run(lambda _: None))
        await asyncio.sleep(0.05)
        assert not hanging.done()

    with busy(store.path):
        asyncio.run(leave())

    async def go_on() -> bool:
        alive = await writer.run(lambda _: threading.current_thread().name == "kugetsu-writer")
        await writer.close()
        await store.close()
        return alive

    assert asyncio.run(go_on())
