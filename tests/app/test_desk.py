"""Going back and branching off, with real git and a real store."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kugetsu.app import desk
from kugetsu.app.house import House
from kugetsu.config import Settings
from kugetsu.errors import StateConflictError
from kugetsu.tasks import Answer, TaskReport
from support.command_line import CommandLine, tool

WRITES = [
    {"tool_calls": [tool("write", path=f"{name}.txt", content=f"{name}\n")]} for name in ("one", "two", "three", "four")
]


@pytest.fixture
async def house(user: CommandLine) -> AsyncIterator[House]:
    user.make_repo({"a.txt": "a\n"})
    async with House(Settings(), user.home, user.environ) as house:
        yield house


async def run(house: House, user: CommandLine, model: str) -> TaskReport:
    return await house.worker.run(house.shadow(house.task(str(user.repo), "write files", model=model)))


async def branch_off(house: House, prefix: str, turn: int) -> TaskReport:
    return await house.worker.run(house.shadow(*await desk.fork(house, prefix, turn, "other files")))


def files(user: CommandLine, report: TaskReport) -> list[str]:
    return user.git("ls-tree", "-r", "--name-only", report.branch).split()


async def test_a_fork_of_a_fork_that_never_ran_begins_with_the_files_of_its_turn(
    house: House, user: CommandLine
) -> None:
    first = await run(house, user, user.script(*WRITES[:3]))
    task, entries = await desk.fork(house, first.id, 2, "never run", queued=True)
    await desk.submit(house, task, session=entries)
    report = await branch_off(house, task.id, 2)
    assert report.state == "completed", report.outcome
    assert files(user, report) == ["a.txt", "one.txt", "three.txt", "two.txt"]


async def test_a_fork_may_go_back_to_turns_that_it_took_over(house: House, user: CommandLine) -> None:
    first = await run(house, user, user.script(*WRITES[:3]))
    fork = await branch_off(house, first.id, 2)
    record = await desk.rewind(house, fork.id, 1)
    assert (record.state, record.place is not None) == ("paused", True)
    assert record.place
    assert sorted(path.name for path in Path(record.place.path).glob("*.txt")) == ["a.txt", "one.txt"]
    head = user.git("symbolic-ref", "HEAD", cwd=Path(record.place.path)).strip()
    assert head == f"refs/heads/{fork.branch}"
    report = await house.worker.run(await desk.resume(house, fork.id))
    assert report.state == "completed", report.outcome
    earlier = await branch_off(house, fork.id, 1)
    assert earlier.state == "completed", earlier.outcome


async def test_a_turn_that_is_gone_is_refused_and_nothing_is_changed(house: House, user: CommandLine) -> None:
    first = await run(house, user, user.script(*WRITES))
    await desk.rewind(house, first.id, 1)
    report = await house.worker.run(await desk.resume(house, first.id))
    assert report.state == "completed"
    before = await house.store.find(first.id)
    with pytest.raises(StateConflictError, match="no turn 3") as refused:
        await desk.rewind(house, first.id, 3)
    assert refused.value.fix == "its turns are 0 to 1, 6 to 9"
    assert await house.store.find(first.id) == before


async def test_an_answer_that_waits_does_not_outlive_a_rewind(house: House, user: CommandLine) -> None:
    script = user.script(WRITES[0], {"tool_calls": [tool("ask", question="delete the old logs?")]})
    first = await run(house, user, script)
    assert first.state == "waiting"
    await house.store.control(first.id, Answer("yes, delete"))
    await desk.rewind(house, first.id, 1)
    report = await house.worker.run(await desk.resume(house, first.id))
    assert (report.state, report.question) == ("waiting", "delete the old logs?")


async def test_after_a_rewind_the_report_says_nothing_of_what_was_taken_back(house: House, user: CommandLine) -> None:
    first = await run(house, user, user.script(*WRITES[:2]))
    assert first.files_changed == 2
    record = await desk.rewind(house, first.id, 1)
    assert (record.shown.files_changed, record.shown.commits, record.shown.check) == (0, (), None)


async def test_a_block_that_is_left_with_an_error_ends_the_run_in_it(user: CommandLine) -> None:
    user.make_repo({"a.txt": "a\n"})
    slow = user.script({"tool_calls": [tool("bash", command="touch begun; sleep 60")]})
    async with asyncio.TaskGroup() as group:
        async with House(Settings(), user.home, user.environ) as house:
            shadow = house.shadow(house.task(str(user.repo), "wait", model=slow))
            running = group.create_task(house.worker.run(shadow))
            async with asyncio.timeout(20):
                while not list((user.home / "worktrees").glob("*/begun")):
                    await asyncio.sleep(0.01)
        assert (await running).state == "pending"
