"""The server: where it listens, how it stops, and what it takes from clients that are slow, rude or gone."""

import asyncio
import contextlib
import re
import socket

import pytest

from gateway.http.wire import Wire
from kugetsu.app.service import LocalTasks
from kugetsu.config import HttpSettings
from kugetsu.errors import ConfigError
from kugetsu.gateway.http import bodies, deadlines
from kugetsu.gateway.http.sockets import listen, url_of
from kugetsu.protocols import Stats
from support.command_line import CommandLine
from support.http_site import Site, open_site


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(deadlines, "TAKE_SECONDS", 0.3)
    monkeypatch.setattr(bodies, "SECONDS", 0.3)


@pytest.mark.usefixtures("hurry")
async def test_a_client_that_says_nothing_is_let_go(site: Site) -> None:
    assert await (await Wire.to(site)).rest() == b""


@pytest.mark.usefixtures("hurry")
async def test_a_head_that_comes_byte_by_byte_is_not_waited_for(user: CommandLine) -> None:
    async with open_site(user) as site:
        for first in ("", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"):
            wire = await Wire.to(site)
            await wire.say(first)
            with pytest.raises(ConnectionError):  # noqa: PT012 - whichever of them notices
                async with asyncio.timeout(10):
                    while True:
                        await wire.say("G")
                        await asyncio.sleep(0.05)
            wire.writer.close()


@pytest.mark.usefixtures("hurry")
async def test_a_body_that_does_not_come_is_not_waited_for(user: CommandLine) -> None:
    async with open_site(user) as site:
        wire = await Wire.to(site)
        await wire.say("POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        answer = await wire.rest()
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"connection: close" in answer
        assert b"urn:kugetsu:problem:timeout" in answer


@pytest.mark.usefixtures("hurry")
async def test_a_body_that_nobody_reads_is_not_waited_for(user: CommandLine) -> None:
    async with open_site(user) as site:
        wire = await Wire.to(site)
        await wire.say("GET /v1/stats HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        assert (await wire.rest()).startswith(b"HTTP/1.1 200 ")


@pytest.mark.usefixtures("hurry")
async def test_a_client_that_does_not_take_its_answer_is_let_go(user: CommandLine) -> None:
    async with open_site(user) as site:
        for _ in range(8):
            await site.submit(prompt="x" * 900_000)
        wire = await Wire.to(site, buffer=4096)
        await wire.say("GET /v1/tasks?limit=500 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await wire.reader.readline()
        while not site.requests()[-1]["path"].startswith("/v1/tasks") or site.requests()[-1]["method"] != "GET":
            await asyncio.sleep(0.01)
        await asyncio.sleep(1.0)  # takes nothing meanwhile
        assert len(await wire.rest()) < 7_000_000


async def test_requests_follow_each_other_on_one_connection(site: Site) -> None:
    wire = await Wire.to(site)
    head = "Host: localhost\r\nContent-Type: application/json\r\n"
    await wire.say(
        f"GET /healthz HTTP/1.1\r\n{head}\r\n"
        f"POST /v1/tasks HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"
        f"GET /v1/stats HTTP/1.1\r\n{head}Connection: close\r\n\r\n"
    )
    answer = await wire.rest()
    assert re.findall(rb"HTTP/1.1 (\d+) ", answer) == [b"200", b"400", b"200"]


async def test_a_large_body_in_pieces_of_unknown_length_is_refused(user: CommandLine) -> None:
    async with open_site(user, http=HttpSettings(port=0, body_kb=1)) as site:
        wire = await Wire.to(site)
        await wire.say("POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(200):
                await wire.say(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
        assert b" 413 " in (await wire.rest())[:20]


async def test_a_client_that_asks_before_it_sends_is_told_at_once(user: CommandLine) -> None:
    async with open_site(user, http=HttpSettings(port=0, body_kb=1)) as site:
        wire = await Wire.to(site)
        await wire.say(
            "POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999999\r\nExpect: 100-continue\r\n\r\n"
        )
        answer = await wire.rest()
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"connection: close" in answer


@pytest.mark.parametrize(
    "said",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 70_000,
        b"GET /" + b"x" * 70_000,
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    ],
)
async def test_what_is_no_http_is_answered_with_a_problem(site: Site, said: bytes) -> None:
    wire = await Wire.to(site)
    await wire.say(said)
    answer = await wire.rest()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"urn:kugetsu:problem:bad-request" in answer
    assert (await site.get("/healthz")).status == 200


async def test_one_connection_too_many_is_told_to_come_back(user: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kugetsu.gateway.http.server._MORE_CONNECTIONS", 2)
    async with open_site(user, http=HttpSettings(port=0, streams=1)) as site:
        wires = [await Wire.to(site) for _ in range(3)]
        last = await Wire.to(site)
        answer = await last.rest()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after" in answer
        wires[0].writer.close()
        await wires[0].writer.wait_closed()
        async with asyncio.timeout(10):
            while not (await _first_line(site)).endswith(b"200 OK\r\n"):
                await asyncio.sleep(0.05)
        for wire in wires[1:]:
            wire.writer.close()


async def test_clients_take_no_more_than_their_part_of_the_files_that_may_be_open(
    user: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kugetsu.gateway.http.server.most_files", lambda: 16)
    async with open_site(user) as site:
        wires = [await Wire.to(site) for _ in range(8)]
        assert (await (await Wire.to(site)).rest()).startswith(b"HTTP/1.1 503 ")
        for wire in wires:
            wire.writer.close()


async def _first_line(site: Site) -> bytes:
    wire = await Wire.to(site)
    with contextlib.suppress(ConnectionError):
        await wire.say("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return (await wire.rest()).partition(b"\n")[0] + b"\n"
    return b""


async def test_a_port_that_is_taken_is_named(site: Site) -> None:
    port = int(site.server.url.rpartition(":")[2])
    with pytest.raises(ConfigError, match=rf"`http\.port` is {port}, which another program uses.*any that is free"):
        listen(HttpSettings(port=port))
    with pytest.raises(ConfigError, match=r"`http\.host`"):
        listen(HttpSettings(host="192.0.2.1", port=0))
    with pytest.raises(ConfigError, match=r"`http\.host`"):
        listen(HttpSettings(host="a..b", port=0))


def test_a_name_with_several_addresses_gets_one_port_for_all() -> None:
    sockets = listen(HttpSettings(host="localhost", port=0))
    try:
        assert len({made.getsockname()[1] for made in sockets}) == 1
        assert url_of(sockets).startswith(("http://127.0.0.1:", "http://[::1]:"))
    finally:
        for made in sockets:
            made.close()


def test_small_answers_are_sent_at_once() -> None:
    """The event loop turns off Nagle's algorithm only for sockets that say that they are TCP."""
    with listen(HttpSettings(port=0))[0] as made, socket.create_connection(made.getsockname()):
        made.setblocking(True)
        accepted, _ = made.accept()
        with accepted:
            assert accepted.proto == socket.IPPROTO_TCP


class Slow(LocalTasks):
    entered: asyncio.Event
    free: asyncio.Event

    async def stats(self) -> Stats:
        self.entered.set()
        await self.free.wait()
        return await super().stats()


@pytest.mark.parametrize("freed", [True, False])
async def test_what_is_under_way_is_finished_and_what_does_not_end_is_cut(user: CommandLine, freed: bool) -> None:
    async with open_site(user) as site:
        slow = Slow(site.house)
        slow.entered, slow.free = asyncio.Event(), asyncio.Event()
        async with asyncio.TaskGroup() as group, open_site(user, service=slow, grace=1) as other:
            asking = group.create_task(_ask(other))
            await slow.entered.wait()
            other.server.begin_to_stop()
            ready = await other.get("/readyz")
            assert (ready.status, ready.problem) == (503, "stopping")
            assert (await other.get("/v1/tasks")).status == 200
            if freed:
                asyncio.get_running_loop().call_later(0.3, slow.free.set)
            await other.session.close()
        assert asking.result() == (200 if freed else 500)


async def _ask(site: Site) -> int:
    wire = await Wire.to(site)
    await wire.say("GET /v1/stats HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = await wire.rest()
    return int(answer.split()[1]) if answer else 0


async def test_nobody_gets_in_once_it_has_ended(user: CommandLine) -> None:
    async with open_site(user) as site:
        idle = await Wire.to(site)
        await idle.say("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await idle.reader.readline()
    assert (await idle.rest()).endswith(b"ok\n")
    with pytest.raises(OSError, match="Connect"):
        await Wire.to(site)
