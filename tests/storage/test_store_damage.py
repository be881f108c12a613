import sqlite3
from pathlib import Path

import pytest

from kugetsu.errors import RecordError, TaskNotFoundError
from kugetsu.events import TaskFinished, TaskMoved
from kugetsu.messages import user
from kugetsu.protocols import Concurrency, Effect, News, Token, WorkerInfo
from kugetsu.sessions import Heard
from kugetsu.storage import DATABASE_NAME, SqlStore, check
from kugetsu.tasks import Cancel, Outcome, Say, TaskState
from kugetsu.testing import FakeClock
from tasks.task_lab import a_task, an_ending

WORKER = WorkerInfo("w", "host", 1)
ODD = "a \udcff lone half, a \0 and a \U0001f980"


def change(home: Path, statement: str) -> None:
    with sqlite3.connect(home / DATABASE_NAME) as connection:
        connection.execute(statement)
    connection.close()


async def read_all(home: Path) -> None:
    store = await SqlStore.open(home)
    try:
        await store.reports()
    finally:
        await store.close()


async def three(home: Path) -> None:
    """A database with the tasks a, b and c; b is damaged."""
    store = await SqlStore.open(home)
    for name in "abc":
        await store.submit(a_task(name))
    await store.close()
    change(home, "UPDATE tasks SET task = CAST('{\"id\": 7' AS BLOB) WHERE id = 'b'")


async def test_a_damaged_record_holds_up_nobody(home: Path) -> None:
    await three(home)
    store = await SqlStore.open(home)
    await store.register(WORKER, 60)
    assert [claim.record.id for claim in await store.claim("w", 2)] == ["a", "c"]
    assert await store.claim("w", 2) == []
    assert [report.id for report in await store.reports()] == ["c", "a"]
    with pytest.raises(RecordError, match=r"record of task b is damaged.*doctor"):
        await store.find("b")
    with pytest.raises(RecordError, match="record of task b is damaged"):
        await store.control("b", Cancel())
    counts = await store.counts()
    assert (counts["pending"], counts["failed"]) == (0, 1)
    await store.close()


async def test_a_damaged_record_takes_no_place_of_others(home: Path) -> None:
    await three(home)
    change(home, "UPDATE tasks SET priority = 1, rank = 0 WHERE id = 'b'")
    store = await SqlStore.open(home)
    await store.register(WORKER, 60)
    assert [claim.record.id for claim in await store.claim("w", 1, Concurrency(repository=1))] == ["a"]
    await store.close()


@pytest.mark.parametrize("end", ["dead", "expired", "retired"])
async def test_a_damaged_running_task_gives_its_place_back_when_its_worker_is_gone(home: Path, end: str) -> None:
    clock = FakeClock(auto=False)
    store = await SqlStore.open(home, clock)
    await store.register(WORKER, 60)
    await store.submit(a_task("bad"), worker="w")
    await store.submit(a_task("after", after=("bad",)))
    await store.submit(a_task("good"))
    change(home, "UPDATE tasks SET task = x'00' WHERE id = 'bad'")
    if end == "retired":
        assert await store.retire("w") == []
    else:
        clock.advance(61 if end == "expired" else 0)
        assert await store.reap(["w"] if end == "dead" else []) == []
    await store.register(WORKER, 60)
    assert [claim.record.id for claim in await store.claim("w", 9, Concurrency(repository=1))] == ["good"]
    (run,) = await store.runs("bad")
    assert run.outcome == Outcome("internal", "its record is damaged")
    outcome = (await store.find("after")).outcome
    assert outcome is not None
    assert outcome.message == "task bad, which had to be completed before, is failed"
    await store.close()


@pytest.mark.parametrize("state", ["completed", "failed"])
async def test_a_damaged_task_that_waits_for_another_fails_when_its_turn_comes(home: Path, state: TaskState) -> None:
    store = await SqlStore.open(home)
    await store.register(WORKER, 60)
    claim = (await store.submit(a_task("a"), worker="w")).claim
    assert claim is not None
    await store.submit(a_task("b", after=("a",)))
    await store.submit(a_task("c", after=("a", "b")))
    change(home, "UPDATE tasks SET task = x'00' WHERE id = 'b'")
    await store.settle(claim.lease, an_ending(state, report=claim.record.report))
    counts = await store.counts()
    assert (counts["pending"], counts["running"]) == (0, 0)
    assert (await store.find("c")).state == "failed"
    await store.close()


async def test_a_damaged_record_of_a_dead_worker_holds_up_none_of_its_others(home: Path) -> None:
    store = await SqlStore.open(home)
    await store.register(WORKER, 60)
    for name in "abc":
        await store.submit(a_task(name), worker="w")
    change(home, "UPDATE tasks SET report = x'00' WHERE id = 'b'")
    assert [record.id for record in await store.reap(["w"])] == ["a", "c"]
    await store.close()


async def test_that_a_damaged_task_has_failed_is_told(home: Path) -> None:
    await three(home)
    store = await SqlStore.open(home)
    await store.register(WORKER, 60)
    await store.claim("w", 2)
    (change,) = [change for change in await store.changes() if change.state == "failed"]
    assert (change.task, change.outcome) == ("b", Outcome("internal", "its record is damaged"))
    assert (await store.events("b"))[-1] == TaskMoved(
        task="b", seq=2, at=change.at, state="failed", outcome=change.outcome
    )
    await store.close()


async def test_damaged_events_and_changes_hold_up_no_others(home: Path) -> None:
    store = await SqlStore.open(home)
    for name in "abcd":
        await store.submit(a_task(name))
    change(home, "UPDATE events SET data = x'7b' WHERE task IN (1, 3)")
    change(home, "UPDATE changes SET data = x'7b' WHERE task IN (1, 3)")
    (second,) = await store.feed(most=1)
    assert (second.number, second.event.task) == (2, "b")
    assert [one.event.task for one in await store.feed(after=second.number, most=1)] == ["d"]
    assert [found.task for found in await store.changes(most=2)] == ["b", "d"]
    with pytest.raises(RecordError, match="event 1 of task a is damaged"):
        await store.events("a")
    await store.close()


async def test_a_damaged_entry_is_named(home: Path) -> None:
    store = await SqlStore.open(home)
    await store.submit(a_task("a"), session=[Heard(user("one")), Heard(user("two"))])
    change(home, "UPDATE entries SET data = CAST('{}' AS BLOB) WHERE seq = 2")
    with pytest.raises(RecordError, match="entry 2 of the session of task a is damaged"):
        await store.session("a")
    await store.close()


async def test_the_check_finds_nothing_wrong_where_there_is_nothing(tmp_path: Path) -> None:
    assert await check(tmp_path / "home") == []
    assert not (tmp_path / "home").exists()


async def test_the_check_finds_nothing_wrong_with_a_sound_database_in_use(store: SqlStore, home: Path) -> None:
    await store.submit(a_task("a"), session=[Heard(user("one")), Heard(user("two"))])
    assert await check(home) == []


async def test_the_check_names_damaged_records_and_gaps(home: Path) -> None:
    await three(home)
    store = await SqlStore.open(home)
    await store.submit(a_task("d"), session=[Heard(user("one")), Heard(user("two"))])
    await store.close()
    change(home, "DELETE FROM entries WHERE seq = 1")
    damaged, gap = await check(home)
    assert "record of task b is damaged" in damaged
    assert "session of task d has a gap" in gap


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE entries SET data = x'7b'", "entry 1 of the session of task a is damaged"),
        ("UPDATE events SET data = x'7b'", "event 1 of task a is damaged"),
        ("UPDATE runs SET outcome = x'7b'", "run 1 of task a is damaged"),
        ("UPDATE tasks SET outcome = x'7b'", "the record of task a is damaged"),
        ("UPDATE changes SET data = x'7b'", "change 2 of task a is damaged"),
        ("UPDATE deliveries SET payload = '{'", "delivery 1 of task a is damaged"),
        ("UPDATE deliveries SET due_at = 'soon'", "delivery 1 of task a is damaged"),
        ("UPDATE tokens SET scopes = x'5b37'", "token one is damaged"),
    ],
)
async def test_the_check_reads_all_that_is_kept_and_names_what_it_cannot(
    home: Path, statement: str, problem: str
) -> None:
    store = await SqlStore.open(home)
    await store.register(WORKER, 60)
    claim = (await store.submit(a_task("a"), worker="w", session=[Heard(user("one"))])).claim
    assert claim is not None
    event = TaskFinished(task="a", seq=1, state="completed", outcome=Outcome("completed", "done"), summary="")
    await store.settle(claim.lease, an_ending("completed", report=claim.record.report), events=[event])
    await store.add_token(Token(id="one", name="phone", digest="d", scopes=("read",), created_at=1.0))
    first, _ = await store.changes()
    await store.route({first.id: [News(target="chat", event="task.running", payload="{}", expires_at=9.0)]})
    await store.close()
    assert await check(home) == []
    change(home, statement)
    (found,) = await check(home)
    assert problem in found
    assert "kugetsu doctor" not in found


async def test_the_check_finds_damaged_pages(home: Path) -> None:
    store = await SqlStore.open(home)
    for number in range(200):
        await store.submit(a_task(f"t{number}", prompt="x" * 1000))
    await store.close()
    path = home / DATABASE_NAME
    with path.open("r+b") as file:
        for page in range(20, 40):
            file.seek(page * 4096)
            file.write(b"\xff" * 4096)
    problems = await check(home)
    assert problems
    assert all(str(path) in problem for problem in problems)
    with pytest.raises(RecordError, match=r"damaged.*kugetsu doctor"):
        await read_all(home)


async def test_the_check_says_what_it_cannot_open(home: Path) -> None:
    home.mkdir()
    (home / DATABASE_NAME).write_text("no database at all\n" * 500)
    (problem,) = await check(home)
    assert "it is no database" in problem
    assert "keep the file" in problem
    assert "kugetsu doctor" not in problem


async def test_strange_text_is_kept(store: SqlStore) -> None:
    await store.register(WORKER, 60)
    await store.submit(a_task("a", prompt=ODD), key=ODD)
    assert not (await store.submit(a_task("b", prompt=ODD), key=ODD)).created
    (claim,) = await store.claim("w", 1)
    await store.control("a", Say(ODD, key=ODD))
    await store.control("a", Cancel(ODD))
    effect = Effect(1, ODD, ODD)
    assert await store.begin_effect(claim.lease, effect) == "new"
    assert await store.begin_effect(claim.lease, effect) == "begun"
    await store.append(claim.lease, [Heard(user(ODD))])
    (attention,) = await store.attention("w")
    mended = ODD.replace("\udcff", "\ufffd")
    assert (attention.reason, attention.notes[0].text) == (mended, mended)
    await store.settle(claim.lease, an_ending("cancelled", message=ODD, report=claim.record.report))
    record = await store.find("a")
    assert (record.task.prompt, record.key) == (mended, mended)


@pytest.mark.parametrize("prefix", ["", "%", "a%", "_", "\0", "\udcff", "ä", "a" * 65])
async def test_a_strange_prefix_finds_nothing(store: SqlStore, prefix: str) -> None:
    await store.submit(a_task("a"))
    with pytest.raises(TaskNotFoundError):
        await store.find(prefix)
    with pytest.raises(TaskNotFoundError):
        await store.control(prefix, Cancel())
    with pytest.raises(TaskNotFoundError):
        await store.session(prefix)


@pytest.mark.parametrize(
    "change",
    [
        "state = 'lost'",
        "state = 'running'",
        "worker = 'w'",
        "priority = 101",
        "blockers = -1",
        "blockers = 1",
        "runs = generation + 1",
        "wanted = 'rest'",
        "wakes_at = 5",
        "id = ''",
        "state = 'completed'",  # while it is ready
        "state = 'waiting', question = 'which?'",
        "state = 'waiting', question = 'which?', ready = 0, wakes_at = 5",
    ],
)
async def test_the_database_itself_refuses_what_cannot_be(store: SqlStore, home: Path, change: str) -> None:
    await store.submit(a_task("a"))
    with sqlite3.connect(home / DATABASE_NAME) as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute(f"UPDATE tasks SET {change}")  # noqa: S608 - this file's own
    connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO entries (task, seq, at, data) VALUES (1, 1, 0, x'00')",
        "INSERT INTO entries (task, seq, at, data) VALUES (1, 0, 0, x'00')",
        """INSERT INTO tasks SELECT 2, id, state, ready, wakes_at, expires_at, generation, worker, rank,
        priority, queued_at, available_at, blockers, attempts, crashes, runs, wanted, repo, model, 'other', reason,
        question, outcome, place, task, report, subject FROM tasks""",
        "INSERT INTO events VALUES (1, 1, 7, x'00')",
        "INSERT INTO events (task, seq, data) VALUES (1, 1, x'00')",
        "INSERT INTO changes (task, at, data) VALUES (2, 0, x'00')",
        "INSERT INTO deliveries VALUES (1, 1, 'chat', 'task.failed', '{}', 0, 9, 'lost', 0, 0, NULL, '')",
        "INSERT INTO deliveries VALUES (1, 1, 'chat', 'task.failed', '{}', 0, 9, 'pending', 0, 0, 5, '')",
        "INSERT INTO deliveries VALUES (1, 1, 'chat', 'task.failed', '{}', 0, 9, 'delivered', 0, 0, NULL, '')",
        "INSERT INTO deliveries VALUES (1, 1, 'chat', 'task.failed', '{}', 0, 9, 'pending', -1, 0, NULL, '')",
        "INSERT INTO deliveries VALUES (1, 2, 'chat', 'task.failed', '{}', 0, 9, 'pending', 0, 0, NULL, '')",
        "INSERT INTO tokens VALUES (2, 'one', 'other', 'd', x'5b5d', 0, 0)",
        "INSERT INTO tokens VALUES (2, 'two', 'phone', 'd', x'5b5d', 0, 0)",
        "INSERT INTO tokens VALUES (2, 'two', '', 'd', x'5b5d', 0, 0)",
        "INSERT INTO dependencies (task, after, met) VALUES (1, 1, 0)",
        "INSERT INTO notes (task, kind, text, taken) VALUES (1, 'gossip', '', 0)",
        "INSERT INTO runs (task, generation, worker, started_at, ended_at) VALUES (1, 1, 'w', 0, 5)",
        "INSERT INTO effects (task, turn, call, state, payload) VALUES (1, 0, 'push', 'perhaps', '')",
        "INSERT INTO spending VALUES ('2026-01-31', '/repo', -1, 0, 0, 0)",
        "INSERT INTO reservations VALUES (1, '/repo', 0, -1, 0, 0)",
        "INSERT INTO reservations VALUES (2, '/repo', 0, 0, 0, 0)",
    ],
)
async def test_the_database_itself_refuses_second_and_senseless_rows(
    store: SqlStore, home: Path, statement: str
) -> None:
    await store.submit(a_task("a"), session=[Heard(user("one"))])
    await store.add_token(Token(id="one", name="phone", digest="d", scopes=(), created_at=1.0))
    connection = sqlite3.connect(home / DATABASE_NAME)
    connection.execute("PRAGMA foreign_keys = ON")
    with connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute(statement)
    connection.close()
