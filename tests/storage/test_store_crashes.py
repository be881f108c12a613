import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kugetsu.storage import SqlStore, check
from kugetsu.tasks import day_of
from kugetsu.testing import FakeClock
from tasks.task_lab import a_task

CHILD = Path(__file__).with_name("store_child.py")


def begin(home: Path, act: str, argument: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, str(CHILD), str(home), act, argument], stdout=subprocess.PIPE, text=True)


async def said(child: "subprocess.Popen[str]") -> list[str]:
    output, _ = await asyncio.to_thread(child.communicate)
    return output.split()


@pytest.mark.parametrize(
    ("point", "kept"), [("group.begun", False), ("group.before_commit", False), ("group.after_commit", True)]
)
async def test_a_process_killed_in_a_group_leaves_all_of_it_or_nothing(home: Path, point: str, *, kept: bool) -> None:
    child = begin(home, "group", point)
    told = await said(child)
    assert child.returncode == -signal.SIGKILL
    assert told == ["before"]
    store = await SqlStore.open(home)
    there = {report.id for report in await store.reports()}
    assert there == {"before"} | ({f"within{number}" for number in range(3)} if kept else set())
    assert {change.task for change in await store.changes()} == there
    assert {numbered.event.task for numbered in await store.feed()} == there
    await store.submit(a_task("after"))
    await store.close()
    assert await check(home) == []


@pytest.mark.parametrize(
    ("point", "states"),
    [
        ("submit.before", {"running": "running", "pending": "pending"}),
        ("submit.after", {"running": "running", "pending": "pending", "late": "pending"}),
        ("claim.before", {"running": "running", "pending": "pending", "late": "pending"}),
        ("claim.after", {"running": "running", "pending": "running", "late": "pending"}),
        ("settle.before", {"running": "running", "pending": "running", "late": "pending"}),
        ("settle.after", {"running": "completed", "pending": "running", "late": "pending"}),
        ("reap.before", {"running": "completed", "pending": "running", "late": "pending"}),
        ("reap.after", {"running": "completed", "pending": "pending", "late": "pending"}),
    ],
)
async def test_a_process_killed_beside_a_call_has_done_it_or_not(
    home: Path, point: str, states: dict[str, str]
) -> None:
    child = begin(home, "point", point)
    assert await said(child) == ["running", "pending"]
    assert child.returncode == -signal.SIGKILL
    store = await SqlStore.open(home)
    assert {report.id: report.state for report in await store.reports()} == states
    assert {change.task: change.state for change in await store.changes()} == states  # the last of each
    taken = {record.id for record in await store.reap(["w"])}
    assert taken == {name for name, state in states.items() if state == "running"}
    await store.close()


async def test_processes_that_write_at_once_lose_nothing(home: Path) -> None:
    children = [begin(home, "write", name) for name in "ab"]
    for child in children:
        await said(child)
    assert [child.returncode for child in children] == [0, 0]
    store = await SqlStore.open(home)
    names = {report.id for report in await store.reports()}
    assert names == {f"{name}{number}" for name in "ab" for number in range(60)}
    await store.close()


async def test_processes_that_claim_at_once_share_the_tasks(store: SqlStore, home: Path) -> None:
    for number in range(60):
        await store.submit(a_task(f"t{number}"))
    children = [begin(home, "work", name) for name in ("one", "two")]
    done = [await said(child) for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert sorted(done[0] + done[1]) == sorted(f"t{number}" for number in range(60))
    assert await store.counts() | {"completed": 60} == await store.counts()
    assert [len(await store.session(f"t{number}")) for number in range(60)] == [1] * 60


async def test_processes_that_spend_at_once_use_up_a_budget_and_no_more(store: SqlStore, home: Path) -> None:
    children = [begin(home, "spend", name) for name in ("one", "two", "three")]
    granted = [await said(child) for child in children]
    assert [child.returncode for child in children] == [0, 0, 0]
    assert sum(int(turns) for words in granted for turns in words) == 50
    assert [found.spent.turns for found in await store.spending(day_of(FakeClock().now()))] == [50]
