import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from kugetsu.client import AsyncClient, Client
from kugetsu.config import HttpSettings, QueueSettings, Settings
from kugetsu.config.daemon import running_daemon
from kugetsu.errors import (
    AccessError,
    QueueFullError,
    RepositoryError,
    StateConflictError,
    TaskNotFoundError,
    UsageError,
)
from kugetsu.events import TaskFinished, TaskMoved
from kugetsu.gateway.http.streaming import EventStreams
from kugetsu.protocols import NewTask, TaskService
from kugetsu.sessions import Checkpoint
from kugetsu.storage import SqlStore
from kugetsu.tasks import Answer, Cancel, Pause, Prioritise, Resume, Retry, Say
from support.command_line import CommandLine, tool
from support.http_site import Site, open_site


@pytest.fixture
async def site(user: CommandLine) -> AsyncIterator[Site]:
    settings = Settings(model=user.script({"text": "done"}), queue=QueueSettings(most_pending=7))
    async with open_site(user, settings) as site:
        yield site


@pytest.fixture
async def client(site: Site) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(site.server.url) as client:
        yield client


def new(site: Site, **fields: Any) -> NewTask:
    return NewTask(prompt="do it", repo=str(site.user.repo), **fields)


async def test_a_client_does_what_users_do(site: Site, client: AsyncClient) -> None:
    service: TaskService = client
    accepted = await service.submit(new(site, subject="github.com/me/it#7", key="mine", priority=3))
    task = accepted.task.id
    assert accepted.created
    assert not (await service.submit(new(site, subject="github.com/me/it#7", key="mine", priority=3))).created
    shown = await service.show("github.com/me/it#7")
    assert (shown.id, shown.key, shown.state, shown.served) == (task, "mine", "pending", False)
    assert (await service.show(task[:8])).id == task
    assert (await service.control(task, Prioritise(9))).priority == 9
    assert (await service.control(task, Pause("later"))).state == "paused"
    assert (await service.resume(task, {"turns": 5, "usd": 1.5})).limits.turns == 5
    limits = (await service.show(task)).limits
    assert (await service.control(task, Resume(limits))).limits == limits
    assert (await service.control(task, Say("and that"))).state == "pending"
    assert (await service.control(task, Cancel("enough"))).state == "cancelled"
    assert (await service.control(task, Retry())).state == "pending"
    assert await service.session(task) == []
    assert await service.shadows() == []
    assert (await service.stats()).tasks["pending"] == 1
    assert await service.deliveries(states=["pending"]) == []
    assert await service.retry_deliveries() == []


async def test_pages_are_as_long_as_somebody_wants_them(site: Site, client: AsyncClient) -> None:
    ids = [(await client.submit(new(site))).task.id for _ in range(5)]
    first = await client.list(most=2)
    assert [task.id for task in first.tasks] == ids[:2:-1]
    rest = await client.list(most=1_000, before=first.next)
    assert ([task.id for task in rest.tasks], rest.next) == (ids[2::-1], 0)
    await client.control(ids[0], Cancel())
    assert [task.id for task in (await client.list(states=["cancelled"])).tasks] == ids[:1]
    assert len((await client.list(states=["cancelled", "pending"])).tasks) == 5


async def test_errors_are_those_that_the_same_would_raise_here(site: Site, client: AsyncClient) -> None:
    task = (await client.submit(new(site))).task.id
    with pytest.raises(TaskNotFoundError, match="nothing"):
        await client.show("nothing")
    with pytest.raises(TaskNotFoundError):
        await client.show("github.com/me/it#9")
    with pytest.raises(StateConflictError):
        await client.control(task, Answer("yes"))
    with pytest.raises(UsageError, match="prompt"):
        await client.submit(NewTask(prompt=" ", repo=str(site.user.repo)))
    with pytest.raises(RepositoryError):
        await client.submit(NewTask(prompt="p", repo=str(site.user.directory / "nowhere")))
    with pytest.raises(UsageError):
        await client.diff(task)
    for _ in range(6):
        await client.submit(new(site))
    with pytest.raises(QueueFullError) as raised:
        await client.submit(new(site))
    assert raised.value.retry_after > 0


async def test_a_token_lets_in_for_what_it_is_for(site: Site, client: AsyncClient) -> None:
    token = await site.token("read")
    with pytest.raises(AccessError):
        await client.stats()
    async with AsyncClient(site.server.url, token) as reader:
        assert (await reader.stats()).tasks["pending"] == 0
        with pytest.raises(AccessError):
            await reader.submit(new(site))
    async with AsyncClient(site.server.url, f"{token}x") as stranger:
        with pytest.raises(AccessError):
            await stranger.stats()


async def test_a_client_inside_an_event_loop_is_the_other_one(site: Site) -> None:
    with Client(site.server.url) as client, pytest.raises(UsageError, match="use AsyncClient"):
        client.stats()


async def test_events_come_as_they_are_written_down(user: CommandLine) -> None:
    user.make_repo({"a.txt": "a\n"})
    settings = Settings(model=user.script({"text": "done"}))
    # The streams have a store of their own, as other processes do.
    store = await SqlStore.open(user.home)
    streams = EventStreams(store, HttpSettings())
    async with (
        streams.running(),
        open_site(user, settings, streams=streams) as site,
        AsyncClient(site.server.url) as client,
    ):
        feed = client.feed(after=0)
        task = (await client.submit(new(site))).task.id
        first = await asyncio.wait_for(anext(feed), 20)
        assert isinstance(first.event, TaskMoved)
        following = client.events(task, follow=True)
        assert await asyncio.wait_for(anext(following), 20) == first.event
        await client.control(task, Cancel())
        rest = [event async for event in following]
        assert [event.state for event in rest if isinstance(event, TaskMoved)] == ["cancelled"]
        assert [event async for event in client.events(task)] == await store.events(task)
        assert (await asyncio.wait_for(anext(feed), 20)).event == rest[0]
        await feed.aclose()
    await store.close()


@contextmanager
def serving(user: CommandLine, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A real server, and time for it to be found."""
    process = user.start("serve", "--port", "0", *arguments)
    try:
        deadline = time.monotonic() + 30
        while not ((holder := running_daemon(user.home)) and holder.url):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=30)


def test_a_program_follows_a_task_through_a_kill_and_a_restart_of_the_server(user: CommandLine) -> None:
    user.make_repo({"a.txt": "a\n"})
    model = user.script(
        {"tool_calls": [tool("write", path="b.txt", content="b\n")]},
        {"text": "Slow.", "tool_calls": [tool("bash", command="true")], "delay": 1.0},
        {"text": "done"},
    )
    with serving(user) as first:
        client = Client.local(user.home)
        submission = NewTask(prompt="do it", repo=str(user.repo), model=model)
        task = client.submit(submission).task
        following = client.events(task.id, follow=True)
        events = [next(following)]
        feed = client.feed(after=0)
        numbers = [next(feed).number]
        # The worktree is there, and the model thinks.
        while client.show(task.id).turns < 1:
            time.sleep(0.05)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    with serving(user):
        # What a killed worker had is taken up again when its lease is known to be over.
        while client.show(task.id).state == "running" and client.show(task.id).runs < 2:
            time.sleep(0.05)
        events += following
        numbers += [next(feed).number for _ in events[1:]]
        with Client.local(user.home) as again:
            for event in again.events(task.id, after=events[-1].seq, follow=True):
                events.append(event)
                numbers.append(next(feed).number)
            assert [event.seq for event in events] == [event.seq for event in again.events(task.id)]
            assert isinstance(events[-1], TaskFinished)
            assert again.show(task.id).state == "completed"
            assert "b.txt" in again.diff(task.id).diff
            assert any(isinstance(line.entry, Checkpoint) for line in again.session(task.id))
        assert numbers == sorted(set(numbers))
        feed.close()  # type: ignore[attr-defined] # it is a generator
        client.close()
        client.close()
