"""Who follows events hears them for as long as it would be let in anew."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from kugetsu.client import AsyncClient
from kugetsu.config import HttpSettings
from kugetsu.errors import AccessError
from kugetsu.gateway.http import access, event_stream
from kugetsu.gateway.http.streaming import EventStreams
from kugetsu.storage import SqlStore
from support.command_line import CommandLine
from support.http_site import Site, open_site


@pytest.fixture
async def followed(user: CommandLine, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    monkeypatch.setattr(access, "FRESH_SECONDS", 0.0)
    store = await SqlStore.open(user.home)
    streams = EventStreams(store, HttpSettings())
    async with streams.running(), open_site(user, streams=streams) as site:
        yield site
    await store.close()


async def test_a_token_that_is_revoked_hears_nothing_of_what_happens_then(followed: Site) -> None:
    ada, bob = await followed.token("read", name="ada"), await followed.token(name="bob")
    async with (
        AsyncClient(followed.server.url, ada) as client,
        aclosing(client.feed(after=0)) as heard,
        asyncio.timeout(20),
    ):
        got = await followed.post("/v1/tasks", {"prompt": "first", "repo": str(followed.user.repo)}, bob)
        task = got.json()["id"]
        assert (await anext(heard)).event.task == task
        await followed.house.store.revoke_token("ada")
        assert (await followed.post(f"/v1/tasks/{task}/cancel", {}, bob)).status == 200
        with pytest.raises(AccessError):
            await anext(heard)


async def test_who_needed_no_token_is_sent_away_by_the_first_one_even_when_nothing_happens(
    followed: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "PING_SECONDS", 0.1)
    async with followed.session.get(f"{followed.server.url}/v1/events") as answer, asyncio.timeout(20):
        assert await answer.content.readline() == b"id: 0\n"
        await followed.token()
        assert b'event: end\ndata: {"reason":"unauthorised"}\n\n' in await answer.content.read()
