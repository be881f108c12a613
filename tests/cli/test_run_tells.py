"""News of tasks that run without a server."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from gateway.notifications.news_lab import Heard, Receiver, receiving
from kugetsu.storage import SqlStore
from support.command_line import CommandLine, Done, tool

QUICK = {"text": "Nothing to do."}
SLOW = {"tool_calls": [tool("bash", command="touch begun; sleep 60")]}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


@pytest.fixture
def ada(user: CommandLine) -> CommandLine:
    user.make_repo({"clock.txt": "still\n"})
    return user


def listen(user: CommandLine, receiver: Receiver, *lines: str) -> None:
    path = user.directory / "kugetsu.toml"
    target = ["[notify.ops]", f'url = "{receiver.url}"', "all = true"]
    path.write_text("\n".join(["[queue]", "grace_seconds = 0.1", *target, *lines]))
    path.chmod(0o600)
    user.environ["KUGETSU_CONFIG"] = str(path)


async def kugetsu(user: CommandLine, *arguments: str) -> Done:
    return await asyncio.to_thread(user.run, *arguments)


async def run(user: CommandLine, *more: str, turn: dict[str, Any] = QUICK) -> str:
    """Run a task; its id."""
    options = ["--json", "--repo", str(user.repo), "--model", user.script(turn)]
    done = await kugetsu(user, "run", *options, *more, "mend the clock")
    assert done.code == 0, done.stderr
    found: str = done.json()["id"]
    return found


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.02)


async def test_what_nobody_was_to_hear_is_not_kept_for_whoever_is_set_up_later(
    ada: CommandLine, receiver: Receiver
) -> None:
    await run(ada)
    store = await SqlStore.open(ada.home)
    assert await store.changes() == []
    await store.close()
    listen(ada, receiver)
    second = await run(ada)
    assert [heard.task for heard in receiver.heard] == [second]


async def test_the_next_run_brings_what_one_before_could_not(ada: CommandLine, receiver: Receiver) -> None:
    url, receiver.url = receiver.url, "http://127.0.0.1:9"
    listen(ada, receiver)
    first = await run(ada)
    receiver.url = url
    listen(ada, receiver)
    listed = (await kugetsu(ada, "notify", "list", "--json")).json()["deliveries"]
    await asyncio.sleep(max(0.0, listed[0]["due_at"] - time.time()))
    second = await run(ada)
    assert sorted(heard.task for heard in receiver.heard) == sorted([first, second])


async def test_a_server_that_ends_when_nothing_is_left_brings_its_last_news(
    ada: CommandLine, receiver: Receiver
) -> None:
    async def slowly(_heard: Heard) -> web.StreamResponse:
        await asyncio.sleep(0.5)
        return web.Response()

    receiver.script = [slowly]
    listen(ada, receiver)
    submitted = await kugetsu(ada, "submit", "--repo", str(ada.repo), "--model", ada.script(QUICK), "mend it")
    assert submitted.code == 0, submitted.stderr
    assert (await kugetsu(ada, "serve", "--until-idle")).code == 0
    (delivery,) = (await kugetsu(ada, "notify", "list", "--json")).json()["deliveries"]
    assert (delivery["state"], len(receiver.heard)) == ("delivered", 1)


async def test_a_detached_run_whose_news_do_not_get_through_still_ends_at_a_signal(
    ada: CommandLine, receiver: Receiver
) -> None:
    receiver.script = [503] * 1000
    listen(ada, receiver)
    task = await run(ada, "--detach", turn=SLOW)
    pid = int((await kugetsu(ada, "show", task, "--json")).json()["worker"]["pid"])
    await asyncio.to_thread(ada.wait_for, "worktrees/*/begun")
    os.kill(pid, signal.SIGINT)  # the task is cancelled, and its news stay on their way
    await until(lambda: bool(receiver.heard))
    os.kill(pid, signal.SIGTERM)

    def gone() -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return False

    await until(gone)
    (delivery,) = (await kugetsu(ada, "notify", "list", "--json")).json()["deliveries"]
    assert (delivery["state"], delivery["event"]) == ("pending", "task.cancelled")
