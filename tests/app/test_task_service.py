"""What users do with tasks, on a real store with real git."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kugetsu.app.house import House
from kugetsu.app.service import LocalTasks, bounded, bounded_limits, open_records
from kugetsu.config import ProjectSettings, QueueSettings, Settings
from kugetsu.errors import QueueFullError, StateConflictError, TaskNotFoundError, UsageError
from kugetsu.events import TaskFinished
from kugetsu.protocols import NewTask
from kugetsu.tasks import Cancel, Limits, Pause
from support.command_line import CommandLine


@pytest.fixture
async def house(user: CommandLine) -> AsyncIterator[House]:
    user.make_repo({"a.txt": "a\n"})
    settings = Settings(
        model=user.script({"text": "done"}),
        check="true",
        queue=QueueSettings(most_pending=3, attempts=2),
        projects={"Forge.example/Team/Tool": ProjectSettings(repo=str(user.repo), check="false")},
    )
    async with House(settings, user.home, user.environ) as house:
        yield house


@pytest.fixture
def tasks(house: House) -> LocalTasks:
    return LocalTasks(house)


async def do_all(house: House) -> None:
    async with asyncio.timeout(20):
        await house.worker.serve(house.shadow_of, room=lambda running: 4 - running, until_idle=True)


async def test_what_a_new_task_does_not_say_comes_from_the_settings(tasks: LocalTasks, user: CommandLine) -> None:
    accepted = await tasks.submit(NewTask(prompt="do it", repo=str(user.repo)))
    task = accepted.task
    assert (accepted.created, task.state, task.limits, task.most_attempts) == (True, "pending", Limits(), 2)
    record = await tasks.show(task.id[:6])
    assert (record.id, record.number, record.repo) == (task.id, 1, str(user.repo))


async def test_what_a_new_task_says_counts(tasks: LocalTasks, user: CommandLine) -> None:
    new = NewTask(
        prompt="do it", repo=str(user.repo), usd=3, turns=7, attempts=5, priority=9, reply_to={"target": "ops"}, key="k"
    )
    task = (await tasks.submit(new)).task
    assert (task.limits.usd, task.limits.turns, task.limits.tokens) == (3, 7, Limits().tokens)
    assert (task.most_attempts, task.priority, task.reply_to, task.key) == (5, 9, {"target": "ops"}, "k")


async def test_an_issue_of_a_project_says_where_to_work_and_finds_the_task_again(
    tasks: LocalTasks, user: CommandLine, house: House
) -> None:
    task = (await tasks.submit(NewTask(prompt="fix", subject="https://forge.example/team/tool/issues/12"))).task
    assert (task.subject, task.repo) == ("forge.example/team/tool#12", str(user.repo))
    assert (await house.store.find(task.id)).task.check == "false"
    for name in ("forge.example/team/tool#12", "Team/Tool#12", "https://FORGE.example/team/tool/pull/12#c"):
        assert (await tasks.show(name)).id == task.id
    with pytest.raises(TaskNotFoundError):
        await tasks.show("team/tool#13")


async def test_an_issue_of_no_project_is_one_of_its_host(tasks: LocalTasks, user: CommandLine) -> None:
    task = (await tasks.submit(NewTask(prompt="fix", subject="other/thing#1", repo=str(user.repo)))).task
    assert task.subject == "github.com/other/thing#1"


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (NewTask(prompt="x"), "names no repository"),
        (NewTask(prompt=" ", repo="."), "has no prompt"),
        (NewTask(prompt="x", subject="nonsense"), "names no issue"),
        (NewTask(prompt="x", repo="/nowhere"), "/nowhere"),
        (NewTask(prompt="x", repo=".", priority=101), "priority"),
        (NewTask(prompt="x", repo=".", usd=-1), "usd"),
        (NewTask(prompt="x", repo=".", model="nobody/x"), "nobody"),
        (NewTask(prompt="x", repo=".", reply_to={"BAD": "x"}), "reply_to"),
        (NewTask(prompt="x", repo=".", deadline_at=1.0), "deadline"),
        (NewTask(prompt="x", repo=".", after=("zz",)), "zz"),
    ],
)
async def test_a_task_that_cannot_be_is_refused_in_words(tasks: LocalTasks, new: NewTask, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        await tasks.submit(new)
    assert (await tasks.list()).tasks == ()


async def test_a_full_queue_says_when_to_come_back(tasks: LocalTasks, user: CommandLine) -> None:
    new = NewTask(prompt="x", repo=str(user.repo))
    for _ in range(3):
        await tasks.submit(new)
    with pytest.raises(QueueFullError) as refused:
        await tasks.submit(new)
    assert refused.value.retry_after > 0


async def test_pages_follow_each_other_without_a_gap(tasks: LocalTasks, user: CommandLine) -> None:
    ids = [(await tasks.submit(NewTask(prompt=str(n), repo=str(user.repo)))).task.id for n in range(3)]
    first = await tasks.list(most=2)
    second = await tasks.list(most=2, before=first.next)
    assert [task.id for task in (*first.tasks, *second.tasks)] == ids[::-1]
    assert (first.next, second.next) == (2, 0)


async def test_events_are_followed_to_the_end_of_the_task(tasks: LocalTasks, house: House, user: CommandLine) -> None:
    task = (await tasks.submit(NewTask(prompt="x", repo=str(user.repo)))).task.id
    seen = []

    async def follow() -> None:
        seen.extend([event async for event in tasks.events(task, follow=True)])

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(follow())
        group.create_task(do_all(house))
    assert isinstance(seen[-1], TaskFinished)
    numbers = [event.seq for event in seen]  # those that are shown but not kept leave gaps
    assert numbers == sorted(set(numbers))
    assert [event.seq async for event in tasks.events(task, after=2)] == numbers[2:]
    details = await tasks.show(task)
    assert (details.state, details.turns, len(details.run_history)) == ("completed", 1, 1)
    assert (await tasks.stats()).tasks["completed"] == 1
    assert (await tasks.diff(task)).branch == details.branch


async def test_the_feed_begins_with_what_happens_from_now_on(tasks: LocalTasks, user: CommandLine) -> None:
    await tasks.submit(NewTask(prompt="before", repo=str(user.repo)))
    feed = aiter(tasks.feed())
    async with asyncio.timeout(10):
        first = asyncio.ensure_future(anext(feed))
        await asyncio.sleep(0.1)
        task = (await tasks.submit(NewTask(prompt="after", repo=str(user.repo)))).task.id
        assert (await first).event.task == task
    everything = aiter(tasks.feed(after=0))
    assert (await anext(everything)).number < (await first).number


async def test_controls_say_how_the_task_stands_then(tasks: LocalTasks, user: CommandLine) -> None:
    task = (await tasks.submit(NewTask(prompt="x", repo=str(user.repo)))).task.id
    assert (await tasks.control(task, Pause())).state == "paused"
    resumed = await tasks.resume(task, {"usd": 50, "turns": 3.0})
    assert (resumed.state, resumed.limits.usd, resumed.limits.turns) == ("pending", 50, 3)
    assert (await tasks.show(task)).limits.turns == 3
    for wrong in ({"turns": 2.5}, {"usd": float("nan")}, {"tokens": 2.0**70}):
        with pytest.raises(UsageError, match="limits"):
            await tasks.resume(task, wrong)
    with pytest.raises(UsageError, match="no limit 'wishes'"):
        await tasks.resume(task, {"wishes": 3})
    assert (await tasks.control(task, Cancel("enough"))).state == "cancelled"
    with pytest.raises(StateConflictError):
        await tasks.control(task, Pause())


async def test_a_place_without_a_store_is_looked_at_without_making_one(tmp_path: Path) -> None:
    async with open_records(tmp_path / "none", {}) as records:
        assert (await records.list()).tasks == ()
        assert (await records.stats()).tasks["pending"] == 0
    assert not (tmp_path / "none").exists()


def test_who_may_widen_nothing_gets_the_stricter_of_both_limits() -> None:
    limits = Limits(usd=2, turns=10)
    settings = Settings(limits=limits, check_seconds=60.0, queue=QueueSettings(attempts=2))
    new = bounded(NewTask(prompt="x", usd=5, turns=3, tokens=0), settings)
    assert (new.usd, new.turns, new.tokens, new.idle_seconds) == (2, 3, limits.tokens, None)
    assert (new.check_seconds, new.attempts) == (None, None)
    new = bounded(NewTask(prompt="x", check_seconds=1e9, attempts=10**9), settings)
    assert (new.check_seconds, new.attempts) == (60.0, 2)
    new = bounded(NewTask(prompt="x", check_seconds=5.0, attempts=1), settings)
    assert (new.check_seconds, new.attempts) == (5.0, 1)
    assert bounded_limits({"usd": 0}, limits) == {"usd": 2}
    with pytest.raises(UsageError):
        bounded_limits({"usd": float("nan")}, limits)
