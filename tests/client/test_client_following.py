import asyncio
import re
from contextlib import aclosing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.client_lab import END, SHUTDOWN, Asked, answer, event, fake_server, hang_up, problem, stream
from kugetsu.client import AsyncClient, following
from kugetsu.client.sse import EventParser, EventTooLargeError, ServerEvent
from kugetsu.engine import sole_daemon
from kugetsu.errors import AccessError, QueueFullError, RecordError, ServerError, TaskNotFoundError


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_FIRST_WAIT", 0.01)


async def numbers(client: AsyncClient, *, after: int = 0, follow: bool = True) -> list[int]:
    async with asyncio.timeout(20):
        return [each.seq async for each in client.events("t1", after=after, follow=follow)]


async def test_a_stream_that_breaks_goes_on_behind_the_last_event() -> None:
    whole = b"".join(event(number) for number in range(1, 7))
    cut = len(whole) // 2
    async with (
        fake_server(
            stream(whole[:cut]), hang_up, stream(event(4), event(5)), stream(event(6), END, ends=True)
        ) as server,
        AsyncClient(server.url) as client,
    ):
        assert await numbers(client) == [1, 2, 3, 4, 5, 6]
        assert [asked.headers.get("last-event-id") for asked in server.asked] == ["0", "3", "3", "5"]
        assert server.asked[0].path == "/v1/tasks/t1/events?follow=true"


async def test_an_event_that_comes_again_is_not_given_again() -> None:
    async with (
        fake_server(stream(event(1), event(2)), stream(event(1), event(2), event(3), event(2), END)) as server,
        AsyncClient(server.url) as client,
    ):
        assert await numbers(client) == [1, 2, 3]


async def test_a_server_that_stops_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_LONGEST_WAIT", 0.05)
    again: list[asyncio.Future[None]] = []
    behaviours = (stream(event(1), SHUTDOWN, ends=True), problem("stopping", 503), stream(event(2), END, ends=True))
    async with (
        fake_server(*behaviours) as server,
        AsyncClient(server.url) as client,
        aclosing(client.events("t1", follow=True)) as events,
    ):
        assert (await anext(events)).seq == 1
        await server.stop()
        asyncio.get_running_loop().call_later(0.3, lambda: again.append(asyncio.ensure_future(server.start())))
        assert (await asyncio.wait_for(anext(events), 20)).seq == 2
        assert [each async for each in events] == []


async def test_patience_has_an_end() -> None:
    async with (
        fake_server(stream(event(1))) as server,
        AsyncClient(server.url, patience=0.2) as client,
        aclosing(client.events("t1", follow=True)) as events,
    ):
        assert (await anext(events)).seq == 1
        await server.stop()
        with pytest.raises(ServerError, match="no server answers"):
            await anext(events)


async def test_what_happens_from_now_on_misses_nothing_when_the_stream_breaks_before_anything_happened() -> None:
    async with (
        fake_server(stream(b"id: 41\n\n: ping\n\n"), stream(b"id: 41\n\n", event(42), event(43))) as server,
        AsyncClient(server.url) as client,
        aclosing(client.feed()) as feed,
    ):
        assert [(await anext(feed)).number for _ in range(2)] == [42, 43]
        assert [asked.headers.get("last-event-id") for asked in server.asked] == [None, "41"]


async def test_a_refusal_ends_it_at_once_and_a_passing_one_at_the_beginning_soon() -> None:
    async with fake_server(problem("not-found", 404)) as server, AsyncClient(server.url) as client:
        with pytest.raises(TaskNotFoundError):
            await numbers(client)
        assert len(server.asked) == 1
    async with fake_server(problem("rate-limited", 429, retry_after=5)) as server, AsyncClient(server.url) as client:
        with pytest.raises(QueueFullError):
            await numbers(client)
        assert len(server.asked) == 1
    async with fake_server(problem("store", 503)) as server, AsyncClient(server.url) as client:
        with pytest.raises(RecordError):
            await numbers(client)


async def test_a_stream_that_is_refused_later_is_over() -> None:
    async with fake_server(stream(event(1)), problem("unauthorised", 401)) as server, AsyncClient(server.url) as client:
        with pytest.raises(AccessError):
            await numbers(client)


@pytest.mark.parametrize("nonsense", [b"id: x\nevent: noted\ndata: {}\n\n", b"id: 1\nevent: noted\ndata: {}\n\n"])
async def test_an_event_that_is_none_is_told_of(nonsense: bytes) -> None:
    async with fake_server(stream(nonsense)) as server, AsyncClient(server.url) as client:
        with pytest.raises(ServerError, match="sends an event"):
            await numbers(client)
    async with fake_server(answer(200, {})) as server, AsyncClient(server.url) as client:
        with pytest.raises(ServerError, match="application/json"):
            await numbers(client)


async def test_what_there_is_comes_without_waiting_for_more() -> None:
    async with fake_server(stream(event(8), END, ends=True)) as server, AsyncClient(server.url) as client:
        assert await numbers(client, after=7, follow=False) == [8]
        assert server.asked[0].path == "/v1/tasks/t1/events?follow=false"


async def test_who_leaves_early_closes_the_connection() -> None:
    closed = asyncio.Event()

    async def endless(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await stream(event(1), event(2))(asked, writer)
        try:
            while True:
                writer.write(b"8\r\n: ping\n\n\r\n")
                await writer.drain()
                await asyncio.sleep(0.005)
        finally:
            closed.set()

    async with fake_server(endless) as server, AsyncClient(server.url) as client:
        async with aclosing(client.events("t1", follow=True)) as events:
            assert (await anext(events)).seq == 1
        await asyncio.wait_for(closed.wait(), 10)


async def test_the_server_of_this_machine_is_found_again_when_it_was_started_anew(tmp_path: Path) -> None:
    async with (
        fake_server(stream(event(1)), problem("unauthorised", 401)) as old,
        fake_server(stream(event(2), END)) as new,
    ):
        with sole_daemon(tmp_path, "kugetsu serve", 1.0) as daemon:
            daemon.announce(old.url, "kgt_old_1")
            async with AsyncClient.local(tmp_path) as client, aclosing(client.events("t1", follow=True)) as events:
                assert (await anext(events)).seq == 1
                daemon.announce(new.url, "kgt_new_2")
                assert (await anext(events)).seq == 2
                assert client.url == new.url
                assert new.asked[0].headers["authorization"] == "Bearer kgt_new_2"


async def test_a_token_that_counts_no_more_is_looked_up_again(tmp_path: Path) -> None:
    async with fake_server(problem("unauthorised", 401), answer(200, {"shadows": []})) as server:
        with sole_daemon(tmp_path, "kugetsu serve", 1.0) as daemon:
            daemon.announce(server.url, "kgt_old_1")
            async with AsyncClient.local(tmp_path) as client:
                daemon.announce(server.url, "kgt_new_2")
                assert await client.shadows() == []
    assert [asked.headers["authorization"] for asked in server.asked] == ["Bearer kgt_old_1", "Bearer kgt_new_2"]


def test_a_machine_without_a_server_says_so(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=re.escape(f"no server works on {tmp_path}")):
        AsyncClient.local(tmp_path)
    with sole_daemon(tmp_path, "kugetsu serve", 1.0), pytest.raises(ServerError, match="does not listen"):
        AsyncClient.local(tmp_path)


@given(st.data())
def test_events_are_the_same_wherever_the_borders_of_their_pieces_fall(data: st.DataObject) -> None:
    events = [
        ServerEvent("1", "a", b'{"x":1}'),
        ServerEvent("", "end", b"{}"),
        ServerEvent("7", "", b""),
        ServerEvent("8", "b", b"x\ny"),
    ]
    text = b'id: 1\nevent: a\ndata: {"x":1}\n\n: ping\n\nevent: end\r\ndata:{}\r\n\r\nid: 7\n\nid: 8\nevent: b\ndata: x\ndata: y\nz\n\nid: 9'
    cuts = sorted(data.draw(st.sets(st.integers(1, len(text) - 1))))
    parser = EventParser()
    pieces = [text[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert [event for piece in pieces for event in parser.feed(piece)] == events


def test_an_event_without_end_is_not_taken() -> None:
    parser = EventParser(limit=100)
    for _ in range(9):
        parser.feed(b"data: 12345")
    with pytest.raises(EventTooLargeError):
        parser.feed(b"data: 12345")
