"""What a busy store asks most must be found by an index, however much there is."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from kugetsu.errors import TaskNotFoundError
from kugetsu.messages import user
from kugetsu.protocols import Concurrency, News, WorkerInfo
from kugetsu.sessions import Heard
from kugetsu.storage import DATABASE_NAME, SqlStore
from kugetsu.tasks import Budget, Budgets, Cancel, Spent, day_of
from tasks.task_lab import a_task, an_ending


@contextmanager
def statements(store: SqlStore) -> Iterator[list[tuple[str, Any]]]:
    """What is sent to the database meanwhile."""
    found: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: Any, _context: object, many: bool) -> None:
        found.append((statement, parameters[0] if many else parameters))

    engines = store._writer._engine, store._readers._engine
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    yield found
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)


def plans(home: Path, sent: list[tuple[str, Any]]) -> Iterator[str]:
    """How SQLite goes about each of them, step by step."""
    connection = sqlite3.connect(home / DATABASE_NAME)
    for statement, parameters in sent:
        if statement.split()[0] in {"SELECT", "UPDATE", "INSERT", "DELETE"}:
            steps = connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            yield from (f"{step[3]}: {statement}" for step in steps)
    connection.close()


@pytest.fixture
async def _tasks(store: SqlStore) -> None:
    await store.register(WorkerInfo("w", "host", 1), 60)
    for number in range(5):
        await store.submit(a_task(f"t{number}"), key=f"k{number}")


@pytest.mark.usefixtures("_tasks")
async def test_nothing_that_a_worker_does_reads_all_tasks_or_all_entries(store: SqlStore, home: Path) -> None:
    with statements(store) as sent:
        (claim,) = await store.claim("w", 1, Concurrency(repository=5, model=5, closed=frozenset({"other/model"})))
        await store.reserve(claim.lease, Spent(1), Spent(2), Budgets(day=Budget(usd=5), repository=Budget(usd=5)))
        await store.append(claim.lease, [Heard(user("hello"))], taken=[1], headway=True, spent=Spent(1))
        await store.spending(day_of(0))
        await store.attention("w")
        await store.next_start()
        await store.renew("w", 60)
        await store.reap()
        await store.submit(a_task("late"), key="late", most_pending=100)
        await store.settle(claim.lease, an_ending("completed", report=claim.record.report))
        await store.control("t1", Cancel())
    steps = list(plans(home, sent))
    assert len(steps) > 20
    # In the order of an index, of which no more is read than is taken; or one that holds what runs now alone.
    short = ("INDEX tasks_next", "COVERING INDEX tasks_owned", "COVERING INDEX notes_waiting", "SCAN reservations")
    long = [step for step in steps if step.startswith("SCAN") and not any(index in step for index in short)]
    assert [step for step in long if not step.startswith(("SCAN CONSTANT", "SCAN (", "SCAN anon"))] == []
    assert any("tasks_waking" in step for step in steps)
    assert any("tasks_expiring" in step for step in steps)


@pytest.mark.usefixtures("_tasks")
async def test_the_next_task_is_found_without_sorting(store: SqlStore, home: Path) -> None:
    with statements(store) as sent:
        await store.claim("w", 1)
    (step,) = [step for step in plans(home, sent) if "ORDER BY tasks.rank" in step]
    assert step.startswith("SCAN tasks USING INDEX tasks_next")


@pytest.mark.usefixtures("_tasks")
async def test_nothing_that_a_gateway_does_reads_all_tasks_all_events_or_all_deliveries(
    store: SqlStore, home: Path
) -> None:
    with statements(store) as sent:
        changes = await store.changes()
        await store.changes(tasks=["t1", "t2"])
        news = News(target="chat", event="task.pending", payload="{}", expires_at=1e12)
        await store.route({change.id: [news] for change in changes})
        first, _ = await store.take_deliveries(30, 2)
        await store.take_deliveries(30, 2, tasks=["t1", "t2"])
        await store.end_attempt(first, "refused")
        await store.deliveries(most=10)
        await store.deliveries(tasks=["t1"])
        await store.retry_deliveries([first.id], expires_at=1e12)
        await store.clear_deliveries(0.0)
        await store.feed(after=3, most=10)
        await store.last_event()
        for name in ("github.com/octo/cat#1", "octo/cat#1"):
            with pytest.raises(TaskNotFoundError):
                await store.find(name)
    steps = list(plans(home, sent))
    assert len(steps) > 20
    scans = [step for step in steps if step.startswith("SCAN") and not step.startswith("SCAN CONSTANT")]
    # In the order in which they are asked for, of which no more is read than is taken.
    assert [step for step in scans if "LIMIT" not in step and "FROM changes JOIN" not in step] == []
    sorts = [step for step in steps if "TEMP B-TREE" in step]
    few = ("IN (SELECT", "id IN (?)")
    assert [step for step in sorts if not any(these in step for these in few)] == []  # of those that are named alone
    for index in ("deliveries_due", "deliveries_task", "deliveries_ended", "changes_task", "tasks_subject"):
        assert any(index in step for step in steps), index


async def test_with_closed_models_no_task_is_read_that_cannot_start(store: SqlStore, home: Path) -> None:
    await store.register(WorkerInfo("w", "host", 1), 60)
    for number in range(300):
        await store.submit(a_task(f"t{number}", prompt="x" * 20_000))
    closed = Concurrency(closed=frozenset({"some/model", "other/model"}))
    with statements(store) as sent:
        assert await store.claim("w", 1, closed) == []
    ((statement, parameters),) = [found for found in sent if "ORDER BY tasks.rank" in found[0]]
    # All that decides stands in the index. Were a row read for each, its pages would be: 300 tasks of more than 20 KB.
    connection = sqlite3.connect(home / DATABASE_NAME)
    columns = {row[2] for row in connection.execute("PRAGMA index_info(tasks_next)")}
    (where,) = re.findall("WHERE (.*) ORDER BY", statement, re.DOTALL)
    assert set(re.findall(r"tasks\.(\w+)", where)) - {"ready"} <= columns
    (step,) = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    assert step == "SCAN tasks USING INDEX tasks_next"
    connection.close()


@pytest.mark.usefixtures("_tasks")
async def test_a_group_of_appends_costs_a_fixed_number_of_statements(store: SqlStore) -> None:
    claims = await store.claim("w", 5)
    with statements(store) as sent:
        from storage.test_store_grouping import one_group

        async with one_group(store) as group:
            for claim in claims:
                spent = Spent(usd=0.1, turns=1)
                entries = [Heard(user("a")), Heard(user("b"))]
                group.create_task(store.append(claim.lease, entries, headway=True, spent=spent))
    written = [statement for statement, _ in sent if re.search("entries|tasks|spending|reservations", statement)]
    assert len(written) == 3  # the fence, the entries, and what was used up
    ((of_all, _),) = [(statement, of_all) for statement, of_all in sent if "INTO spending" in statement]
    assert of_all
