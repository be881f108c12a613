"""News and processes that are killed, work side by side, or meet a store that refuses."""

import asyncio
import os
import sys
import time
from collections.abc import Collection
from pathlib import Path

from aiohttp import web

from gateway.notifications.news_lab import Heard, News, Receiver, hang, hermes, settings, webhook
from kugetsu.errors import RecordError
from kugetsu.protocols import Change, Delivery, DeliveryState
from kugetsu.storage import SqlStore
from kugetsu.tasks import Resume, TaskRecord
from kugetsu.testing import FakeClock, MemoryStore

TESTS = Path(__file__).parents[2]
CHILD = Path(__file__).with_name("news_child.py")


async def start_child(home: Path, url: str) -> asyncio.subprocess.Process:
    environ = {**os.environ, "PYTHONPATH": str(TESTS)}
    return await asyncio.create_subprocess_exec(sys.executable, str(CHILD), str(home), url, env=environ)


async def until_heard(receiver: Receiver, count: int, child: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(30):
        while len(receiver.heard) < count:
            assert child.returncode is None
            await asyncio.sleep(0.01)


async def test_an_attempt_that_a_kill_cut_off_is_made_again_under_the_same_request_id(
    tmp_path: Path, receiver: Receiver
) -> None:
    clock = FakeClock(time.time(), auto=False)
    store = await SqlStore.open(tmp_path / "home", clock)
    news = News(store, clock, tmp_path)
    await news.finish("a")
    answer = hermes()

    async def heard_and_cut_off(heard: Heard) -> web.StreamResponse:
        await answer(heard)
        return await hang(heard)

    receiver.script = [heard_and_cut_off, answer]
    child = await start_child(tmp_path / "home", receiver.url)
    await until_heard(receiver, 1, child)
    child.kill()
    await child.wait()
    assert [(one.state, one.attempts) for one in await store.deliveries()] == [("pending", 0)]
    async with news.dispatcher(settings(ops=webhook(receiver.url, all=True))).running():
        (delivery,) = await news.settled("delivered")
    assert receiver.heard[0].id == receiver.heard[1].id
    assert (delivery.attempts, delivery.error) == (1, "answered: duplicate")
    await store.close()


async def test_kills_at_any_moment_lose_no_news(tmp_path: Path, receiver: Receiver) -> None:
    clock = FakeClock(time.time(), auto=False)
    store = await SqlStore.open(tmp_path / "home", clock)
    news = News(store, clock, tmp_path)
    for number in range(60):
        await news.finish(f"t{number}")
    for count in (1, 20):
        child = await start_child(tmp_path / "home", receiver.url)
        await until_heard(receiver, count, child)
        child.kill()
        await child.wait()
    async with news.dispatcher(settings(ops=webhook(receiver.url, all=True))).running():
        found = await news.settled()
    assert {heard.task for heard in receiver.heard} == {f"t{number}" for number in range(60)}
    ids = [heard.id for heard in receiver.heard]
    assert len(set(ids)) == 60  # what came twice came under the id of what was cut off
    assert {(one.state, one.attempts) for one in found} == {("delivered", 1)}
    await store.close()


async def test_two_dispatchers_send_nothing_twice(real_news: News, receiver: Receiver) -> None:
    for number in range(80):
        await real_news.finish(f"t{number}")
    other = await SqlStore.open(real_news.directory / "home", real_news.clock)
    targets = settings(ops=webhook(receiver.url, all=True))
    second = News(other, real_news.clock, real_news.directory)
    async with (
        real_news.dispatcher(targets).running() as one,
        second.dispatcher(targets).running() as another,
        asyncio.timeout(30),
    ):
        # No time passes: no lease is over before its attempt, however slow this machine is.
        while len(await other.deliveries(states=["delivered"])) < 80:
            one.wake()
            another.wake()
            await asyncio.sleep(0.01)
    assert sorted(heard.task for heard in receiver.heard) == sorted(f"t{number}" for number in range(80))
    await other.close()


async def test_a_stop_cuts_an_attempt_off_and_the_next_start_makes_it_again(news: News, receiver: Receiver) -> None:
    receiver.script = [hang]
    await news.finish("a")
    targets = settings(ops=webhook(receiver.url, all=True))
    async with news.dispatcher(targets).running():
        await news.until(lambda: len(receiver.heard) == 1)
    assert (await news.delivery()).attempts == 0
    async with news.dispatcher(targets).running():
        await news.settled("delivered")
    assert receiver.heard[0].id == receiver.heard[1].id


class Refusing(MemoryStore):
    """A store that refuses for a while what it is told to."""

    refusing: str = ""

    async def changes(self, *, tasks: Collection[str] = (), most: int = 100) -> list[Change]:
        self._refuse("changes")
        return await super().changes(tasks=tasks, most=most)

    async def end_attempt(
        self, delivery: Delivery, state: DeliveryState, *, error: str = "", due_at: float = 0.0
    ) -> None:
        self._refuse("end_attempt")
        await super().end_attempt(delivery, state, error=error, due_at=due_at)

    async def find(self, prefix: str) -> TaskRecord:
        self._refuse("find")
        return await super().find(prefix)

    def _refuse(self, name: str) -> None:
        if name == self.refusing:
            raise RecordError(f"{name}: the disk is full")


async def test_a_store_that_refuses_is_said_once_and_tried_again(
    clock: FakeClock, tmp_path: Path, receiver: Receiver
) -> None:
    store = Refusing(clock)
    news = News(store, clock, tmp_path)
    await news.finish("a")
    store.refusing = "changes"
    start = clock.now()
    async with news.dispatcher(settings(ops=webhook(receiver.url, all=True))).running():
        await news.until(lambda: clock.now() > start + 10)
        assert news.said == ["news cannot be sent at present: changes: the disk is full"]
        store.refusing = "end_attempt"
        await news.until(lambda: len(receiver.heard) == 1)
        await news.until(lambda: len(news.said) == 2)
        store.refusing = ""
        await news.settled("delivered")


async def test_a_task_that_cannot_be_read_is_told_of_with_what_is_known(
    clock: FakeClock, tmp_path: Path, receiver: Receiver
) -> None:
    store = Refusing(clock)
    news = News(store, clock, tmp_path)
    await news.finish("a", "failed", message="it broke")
    store.refusing = "find"
    async with news.dispatcher(settings(ops=webhook(receiver.url, all=True))).running():
        await news.settled("delivered")
    assert receiver.heard[0].body["message"] == "it broke"
    assert "say little" in news.said[0]


async def test_news_keep_their_order_when_a_task_can_be_read_only_the_second_time(
    clock: FakeClock, tmp_path: Path, receiver: Receiver
) -> None:
    class Once(MemoryStore):
        locked = False

        async def find(self, prefix: str) -> TaskRecord:
            if self.locked:
                self.locked = False
                raise RecordError("it is locked")
            return await super().find(prefix)

    store = Once(clock)
    news = News(store, clock, tmp_path)
    await news.finish("a", "paused", kind="paused")
    await store.control("a", Resume(None))
    await news.finish("a")
    store.locked = True
    async with news.dispatcher(settings(ops=webhook(receiver.url, all=True))).running():
        await news.settled("delivered", "delivered")
    assert [heard.body["state"] for heard in receiver.heard] == ["paused", "completed"]
