"""Tasks after their files were pruned, and tasks that are taken up again while somebody prunes: a real store, real runs."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kugetsu.app import desk
from kugetsu.app.house import House
from kugetsu.app.pruning import Pruner
from kugetsu.config import Settings
from kugetsu.errors import WorkspaceError
from kugetsu.tasks import Retry, TaskReport
from kugetsu.workspace import branch_diff
from kugetsu.workspace.holding import held
from kugetsu.workspace.private import private_of
from support.command_line import CommandLine, tool

WRITES = [{"tool_calls": [tool("write", path=f"{name}.txt", content=f"{name}\n")]} for name in ("one", "two", "three")]


@pytest.fixture
async def house(user: CommandLine) -> AsyncIterator[House]:
    user.make_repo({"a.txt": "a\n"})
    async with House(Settings(), user.home, user.environ) as house:
        yield house


@pytest.fixture
async def done(house: House, user: CommandLine) -> TaskReport:
    """A completed task of four turns."""
    task = house.task(str(user.repo), "write files", model=user.script(*WRITES, {"text": "Done."}))
    report = await house.worker.run(house.shadow(task))
    assert report.state == "completed", report.outcome
    return report


def pruner(house: House, user: CommandLine) -> Pruner:
    return Pruner(user.home, user.environ, house.store, house.settings.disk, house.clock)


async def prune(house: House, user: CommandLine) -> list[bool]:
    return [done.gone for done in (await pruner(house, user).prune(days=0))[1]]


def repositories(user: CommandLine) -> list[str]:
    return [path.name for path in (user.home / "repos").iterdir()]


async def test_after_pruning_a_task_is_known_as_before(house: House, user: CommandLine, done: TaskReport) -> None:
    before = (await house.store.find(done.id), await house.store.session(done.id), await house.store.events(done.id))
    patch = await branch_diff(user.home, done.repo, done.base, done.branch, user.environ)
    assert await prune(house, user) == [True]
    assert repositories(user) == []
    assert before == (
        await house.store.find(done.id),
        await house.store.session(done.id),
        await house.store.events(done.id),
    )
    assert patch
    assert await branch_diff(user.home, done.repo, done.base, done.branch, user.environ) == patch


async def test_a_rewind_of_what_was_pruned_says_so_and_changes_nothing(
    house: House, user: CommandLine, done: TaskReport
) -> None:
    await prune(house, user)
    with pytest.raises(WorkspaceError, match=r"the snapshots of task \w+ are gone: they were pruned") as refused:
        await desk.rewind(house, done.id, 1)
    assert done.branch in refused.value.fix
    record = await house.store.find(done.id)
    assert (record.state, record.shown.commits) == ("completed", done.commits)
    assert repositories(user) == []


async def test_a_rewind_to_the_beginning_needs_no_snapshot(house: House, user: CommandLine, done: TaskReport) -> None:
    await prune(house, user)
    record = await desk.rewind(house, done.id, 0)
    assert record.state == "paused"
    assert record.place
    assert [path.name for path in Path(record.place.path).glob("*.txt")] == ["a.txt"]
    assert await prune(house, user) == []
    report = await house.worker.run(await desk.resume(house, done.id))
    assert report.state == "completed", report.outcome


async def test_a_fork_of_what_was_pruned_is_refused_before_it_is_a_task(
    house: House, user: CommandLine, done: TaskReport
) -> None:
    await prune(house, user)
    with pytest.raises(WorkspaceError, match="they were pruned"):
        await desk.fork(house, done.id, 1, "other files")
    assert len(await house.store.reports()) == 1


async def test_a_fork_that_was_queued_before_has_its_turn_after_a_pruning(
    house: House, user: CommandLine, done: TaskReport
) -> None:
    task, session = await desk.fork(house, done.id, 2, "other files")
    await desk.submit(house, task, session=session)
    assert await prune(house, user) == []
    report = await house.worker.run(await desk.resume(house, task.id))
    assert report.state == "completed", report.outcome
    assert await prune(house, user) == [True, True]


async def test_what_is_rewound_when_files_are_to_be_removed_keeps_them(
    house: House, user: CommandLine, done: TaskReport
) -> None:
    record = await house.store.find(done.id)
    assert record.place
    plan = await pruner(house, user).plan(days=0)
    async with asyncio.TaskGroup() as group, held(private_of(user.home, done.id, record.place.branch)):
        pruning = group.create_task(pruner(house, user).carry_out(plan, lambda _done: None))
        rewinding = group.create_task(_rewind(house, done.id))
        await _until_running(house, done.id)
    assert [(told.gone, told.why) for told in pruning.result()] == [(False, "somebody has begun to use it")]
    assert rewinding.result() == "paused"


async def test_a_rewind_that_begins_while_files_are_removed_waits_and_finds_nothing(
    house: House, user: CommandLine, done: TaskReport
) -> None:
    record = await house.store.find(done.id)
    assert record.place
    async with asyncio.TaskGroup() as group:
        begun: list[asyncio.Task[str]] = []

        async def sure() -> bool:
            begun.append(group.create_task(_rewind(house, done.id)))
            await _until_running(house, done.id)
            return True

        assert await house.workspaces.forget(done.id, record.place, sure=sure)
    assert "they were pruned" in begun[0].result()
    assert (await house.store.find(done.id)).state == "completed"
    assert repositories(user) == []


async def _until_running(house: House, task: str) -> None:
    async with asyncio.timeout(20):
        while (await house.store.find(task)).state != "running":
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)


async def _rewind(house: House, task: str) -> str:
    try:
        return (await desk.rewind(house, task, 1)).state
    except WorkspaceError as error:
        return str(error)


async def test_a_retry_after_pruning_goes_on_from_the_branch(house: House, user: CommandLine) -> None:
    script = user.script(WRITES[0], {"text": "Done."})
    task = house.task(str(user.repo), "write", model=script, check="test -e ok")
    failed = await house.worker.run(house.shadow(task))
    assert failed.state == "failed"
    assert await prune(house, user) == [True]
    (user.directory / "script.json").write_text('{"turns": [{"text": "x"}, {"text": "x"}, {"text": "x"}]}')
    await house.store.control(task.id, Retry())
    report = await house.worker.run(await desk.resume(house, task.id))
    assert [path for path in user.git("ls-tree", "--name-only", report.branch).split() if path == "one.txt"]
