import asyncio
import socket
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aiohttp
import pytest

from gateway.http.stream_lab import Lab, Sent, Works, open_lab, parse, shown, take, until
from kugetsu.errors import RecordError
from kugetsu.events import Event
from kugetsu.gateway.http import event_stream, tail
from kugetsu.protocols import NumberedEvent, SystemClock
from kugetsu.testing import MemoryStore


class WatchedStore(MemoryStore):
    """A store that counts how often it is asked what is new, and can be made to fail."""

    def __init__(self) -> None:
        super().__init__(SystemClock())
        self.asked = 0
        self.broken = False

    async def feed(self, *, after: int = 0, most: int = 0) -> list[NumberedEvent]:
        self.asked += 1
        self._fail()
        return await super().feed(after=after, most=most)

    async def events(self, task: str, *, after: int = 0, most: int = 0) -> list[Event]:
        self._fail()
        return await super().events(task, after=after, most=most)

    def _fail(self) -> None:
        if self.broken:
            raise RecordError("the disk is gone")


@pytest.fixture
async def store() -> AsyncIterator[WatchedStore]:
    store = WatchedStore()
    yield store
    await store.close()


async def open_idle(lab: Lab, path: str) -> socket.socket:
    """A client that asks and then never reads."""
    address = urlsplit(lab.client.url)
    idle = socket.socket()
    idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    idle.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(idle, (address.hostname, address.port))
    await loop.sock_sendall(idle, f"GET {path} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
    return idle


async def test_a_client_that_takes_nothing_is_dropped_and_the_others_get_everything(store: WatchedStore) -> None:
    async with open_lab(store, stream_seconds=0.3) as lab:
        task = await lab.works.start()
        with await open_idle(lab, "/v1/events"), await open_idle(lab, f"/v1/tasks/{task.id}/events"):
            async with lab.client.open("/v1/events") as events:
                await take(events, 1)
                await until(lambda: lab.streams.count == 3)
                said = await task.say(*["x" * 50_000] * 40)
                assert [event.data for event in await take(events, 40)] == shown(said)
                await until(lambda: lab.streams.dropped == 2)
                await until(lambda: lab.streams.count == 1)


async def test_what_the_kernel_holds_for_a_client_that_takes_nothing_is_little(store: WatchedStore) -> None:
    async with open_lab(store, stream_seconds=20) as lab:
        task = await lab.works.start()
        await task.say(*["x" * 50_000] * 100)
        with await open_idle(lab, "/v1/events?after=0") as idle:
            await until(lambda: lab.streams.count == 1)
            waiting, before = -1, -2
            while waiting != before:
                await asyncio.sleep(0.05)
                before, waiting = waiting, _unsent(idle)
            assert 0 < waiting < 500_000


def _unsent(client: socket.socket) -> int:
    """Bytes in the kernel's queue of the other end of a connection, as `/proc/net/tcp` has it."""
    local, remote = client.getpeername()[1], client.getsockname()[1]
    with open("/proc/net/tcp") as table:  # noqa: PTH123 - read at once
        for line in table.readlines()[1:]:
            _, here, there, _, queues, *_ = line.split()
            if (int(here.split(":")[1], 16), int(there.split(":")[1], 16)) == (local, remote):
                return int(queues.split(":")[0], 16)
    raise AssertionError("no such connection")


async def test_a_client_that_is_gone_leaves_its_place_to_another(store: WatchedStore) -> None:
    async with open_lab(store, streams=2) as lab:
        task = await lab.works.start()
        path = f"/v1/tasks/{task.id}/events"
        async with lab.client.open("/v1/events") as events, lab.client.open(path) as _others:
            await take(events, 1)
            await until(lambda: lab.streams.count == 2)
            status, problem, headers = await lab.client.refused("/v1/events")
            assert (status, problem["type"]) == (429, "urn:kugetsu:problem:rate-limited")
            assert (problem["detail"][:9], headers["Retry-After"]) == ("2 clients", "5")
            status, _, _ = await lab.client.refused(path)
            assert status == 429
        await until(lambda: lab.streams.count == 0)
        assert len(await lab.client.read(f"{path}?follow=false")) == 2


async def test_a_stop_says_so_and_nobody_may_follow_any_more(store: WatchedStore) -> None:
    async with open_lab(store) as lab:
        task = await lab.works.start()
        path = f"/v1/tasks/{task.id}/events"
        async with lab.client.open("/v1/events") as events, lab.client.open(path) as task_events:
            await task.say("last words")
            for stream in (events, task_events):
                assert (await take(stream, 2))[-1].json["message"] == "last words"
            await lab.streams.close()
            for stream in (events, task_events):
                assert [event async for event in stream] == [Sent("", "end", '{"reason":"shutdown"}')]
        status, problem, _ = await lab.client.refused("/v1/events")
        assert (status, problem["type"]) == (503, "urn:kugetsu:problem:stopping")


async def test_silence_is_filled_so_that_both_ends_know_of_each_other(
    store: WatchedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "PING_SECONDS", 0.02)
    async with open_lab(store) as lab, lab.client.session.get(f"{lab.client.url}/v1/events") as response:
        assert await response.content.readuntil(b"\n\n") == b"id: 0\n\n"
        for _ in range(3):
            assert await response.content.readuntil(b"\n\n") == b": ping\n\n"


async def test_the_store_is_asked_only_while_somebody_listens(store: WatchedStore) -> None:
    async with open_lab(store) as lab:
        task = await lab.works.start()
        await asyncio.sleep(0.25)
        assert store.asked == 0
        async with lab.client.open("/v1/events") as events:
            await take(events, 1)
            await until(lambda: store.asked > 3)
        await until(lambda: lab.streams.count == 0)
        await asyncio.sleep(0.15)  # a look may be under way
        asked = store.asked
        await asyncio.sleep(0.25)
        assert store.asked == asked
        await task.say("while nobody listens")
        async with lab.client.open("/v1/events") as events:
            await take(events, 1)
            said = await task.say("while somebody does")
            assert [event.data for event in await take(events, 1)] == shown(said)


async def test_only_those_are_woken_whom_it_concerns(store: WatchedStore) -> None:
    works = Works(store)
    one, other = await works.start(), await works.start()
    reader = tail.Tail(store)
    reading = asyncio.create_task(reader.read())
    with reader.listen(one.id) as of_one, reader.listen(other.id) as of_other, reader.listen() as of_all:
        for listener in (of_one, of_other, of_all):
            assert await listener.wait(5)  # the ring begins
            listener.heard()
        await one.say("news")
        assert await of_one.wait(5)
        assert await of_all.wait(5)
        assert not await of_other.wait(0.2)
    reading.cancel()


async def test_who_calls_is_looked_at_sooner_than_it_is_time(
    store: WatchedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "LOOK_SECONDS", 3600.0)
    async with open_lab(store) as lab:
        task = await lab.works.start()
        async with lab.client.open("/v1/events") as events:
            await take(events, 1)
            await until(lambda: store.asked > 1)
            said = await task.say("news")
            lab.streams.wake()
            assert [event.data for event in await take(events, 1)] == shown(said)


async def test_a_store_that_cannot_be_read_for_a_while_loses_nothing(
    store: WatchedStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tail, "_TROUBLE_SECONDS", 0.02)
    async with open_lab(store) as lab:
        task = await lab.works.start()
        async with lab.client.open("/v1/events") as events:
            await take(events, 1)
            store.broken = True
            await until(lambda: caplog.records)
            said = await task.say("meanwhile")
            store.broken = False
            assert [event.data for event in await take(events, 1)] == shown(said)
    assert [record.message for record in caplog.records] == [
        "clients that follow events get nothing for now: the disk is gone"
    ]


async def test_a_stream_that_cannot_begin_is_a_problem_and_one_that_breaks_is_not_taken_for_whole(
    store: WatchedStore, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_lab(store, budget=1) as lab:
        task = await lab.works.start()
        store.broken = True
        status, problem, _ = await lab.client.refused(f"/v1/tasks/{task.id}/events")
        assert (status, problem["type"]) == (503, "urn:kugetsu:problem:store")
        store.broken = False
        async with lab.client.open(f"/v1/tasks/{task.id}/events") as events:
            await take(events, 1)
            await until(lambda: store.asked > 1)

            async def fail(*_: object, **__: object) -> list[Event]:
                raise RecordError("this task is damaged")

            store.events = fail  # type: ignore[method-assign] # from now on
            await task.say("news")
            with pytest.raises(aiohttp.ClientPayloadError):
                await take(events, 1)
    assert caplog.messages == ["a client that follows events was cut off: this task is damaged"]


async def test_asking_for_the_head_alone_is_no_stream(store: WatchedStore) -> None:
    async with open_lab(store) as lab, lab.client.session.head(f"{lab.client.url}/v1/events") as response:
        assert (response.status, response.headers["Content-Type"]) == (200, "text/event-stream")
        assert lab.streams.count == 0


async def test_however_many_come_at_once_no_more_are_let_in_than_there_is_room_for(store: WatchedStore) -> None:
    async with open_lab(store, streams=3) as lab:
        task = await lab.works.start()

        async def come(path: str) -> int:
            async with lab.client.session.get(lab.client.url + path) as response:
                if response.status == 200:
                    leave = [event async for event in parse(response)]
                    assert leave[-1].name == "end"
                return response.status

        async with asyncio.TaskGroup() as group:
            paths = ["/v1/events", f"/v1/tasks/{task.id}/events"] * 10
            coming = [group.create_task(come(path)) for path in paths]
            await until(lambda: sum(each.done() for each in coming) == 17)
            assert lab.streams.count == 3
            await lab.streams.close()
        assert sorted(each.result() for each in coming) == [200] * 3 + [429] * 17
        assert lab.streams.count == 0


async def test_who_is_refused_takes_no_place(store: WatchedStore) -> None:
    async with open_lab(store, streams=1) as lab:
        task = await lab.works.start()
        for path in ("/v1/events?after=x", "/v1/tasks/nothing/events", f"/v1/tasks/{task.id}/events?follow=x"):
            status, _, _ = await lab.client.refused(path)
            assert status in {400, 404}
        assert await lab.client.read(f"/v1/tasks/{task.id}/events?follow=false")
