"""What a busy store asks most must be found by an index, however much there is."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from kugetsu.messages import user
from kugetsu.protocols import Concurrency, WorkerInfo
from kugetsu.sessions import Heard
from kugetsu.storage import DATABASE_NAME, SqlStore
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
        (claim,) = await store.claim("w", 1, Concurrency(repository=5, model=5))
        await store.append(claim.lease, [Heard(user("hello"))], taken=[1], headway=True)
        await store.attention("w")
        await store.next_start()
        await store.renew("w", 60)
        await store.reap()
        await store.submit(a_task("late"), key="late", most_pending=100)
        await store.settle(claim.lease, an_ending("completed", report=claim.record.report))
    steps = list(plans(home, sent))
    assert len(steps) > 20
    # In the order of an index, of which no more is read than is taken; or one that holds what runs now alone.
    short = ("USING INDEX tasks_next", "USING COVERING INDEX tasks_owned", "USING COVERING INDEX notes_waiting")
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
async def test_a_group_of_appends_costs_a_fixed_number_of_statements(store: SqlStore) -> None:
    claims = await store.claim("w", 5)
    with statements(store) as sent:
        from storage.test_store_grouping import one_group

        async with one_group(store) as group:
            for claim in claims:
                group.create_task(store.append(claim.lease, [Heard(user("a")), Heard(user("b"))], headway=True))
    written = [statement for statement, _ in sent if "entries" in statement or "tasks" in statement]
    assert len(written) == 2  # the fence, and the entries
