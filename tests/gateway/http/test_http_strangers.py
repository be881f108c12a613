"""What those can do to a server who are not let in: nothing that others feel."""

import asyncio
import tracemalloc

import pytest

from gateway.http.wire import Wire
from kugetsu.config import HttpSettings
from kugetsu.errors import ConfigError
from kugetsu.gateway.http import bodies
from kugetsu.gateway.http.origins import Origins
from kugetsu.gateway.http.problems import Refusal
from kugetsu.gateway.http.tokens import passing_token
from support.command_line import CommandLine
from support.http_site import open_site


async def test_wrong_tokens_of_others_on_this_machine_keep_nobody_out_who_needs_none(user: CommandLine) -> None:
    async with open_site(user, http=HttpSettings(port=0, failures_per_minute=2)) as site:
        assert [(await site.get("/v1/stats", passing_token())).status for _ in range(3)] == [401, 429, 429]
        assert (await site.get("/v1/stats")).status == 200


def test_names_that_strangers_make_up_take_no_memory() -> None:
    origins = Origins(HttpSettings(hosts=("*",)))
    tracemalloc.start()
    try:
        for number in range(2_000):
            headers = {"host": f"{number}.{'X' * 20_000}", "origin": "http://x"}
            with pytest.raises(Refusal):
                origins.require_known({}, headers)
            assert not origins.is_near(headers, "127.0.0.1")
        assert tracemalloc.get_traced_memory()[0] < 2**20
    finally:
        tracemalloc.stop()


def test_a_public_url_that_is_none_is_named() -> None:
    with pytest.raises(ConfigError, match=r"`http\.public_url` is 'https://\[::1'"):
        Origins(HttpSettings(public_url="https://[::1"))


async def test_bodies_of_strangers_share_a_room_that_is_free_again_when_they_are_gone(
    user: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "_STRANGERS_BYTES", 0)
    async with open_site(user, http=HttpSettings(port=0, body_kb=64)) as site:
        head = "POST /webhooks/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60001\r\n\r\n"
        wires = [await Wire.to(site) for _ in range(2)]
        for wire in wires:
            await wire.say(head + 60_000 * "x")
        async with asyncio.timeout(20):
            while (got := await site.post("/webhooks/x", b"x" * 60_000)).status == 404:
                pass  # they are not taken in yet
            assert (got.problem, got.headers["Retry-After"]) == ("rate-limited", "20")
            assert (await site.post("/v1/tasks", b"x" * 60_000)).problem == "bad-request"
            for wire in wires:
                wire.writer.close()
            while (await site.post("/webhooks/x", b"x" * 60_000)).status != 404:
                pass
