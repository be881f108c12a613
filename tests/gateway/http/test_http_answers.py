"""What all answers have, what is mounted, what is written down, and what is counted."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Mapping

import aiohttp
import msgspec
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from kugetsu.app.service import LocalTasks
from kugetsu.config import HttpSettings
from kugetsu.errors import AccessError, RecordError, WorkspaceError
from kugetsu.gateway.asgi import CALLER, AsgiScope, Caller, Receive, Send
from kugetsu.protocols import Stats, TaskDetails
from kugetsu.testing import FakeClock
from support.command_line import CommandLine
from support.http_site import Site, open_site


async def test_every_answer_has_the_id_of_its_request(site: Site) -> None:
    for path in ("/v1/stats", "/nosuch", "/healthz", "/v1/tasks/x"):
        assert (await site.get(path, X_Request_ID="abc-1")).headers["X-Request-ID"] == "abc-1"
        for strange in ("", "x" * 129, "a b", "ä"):
            given = (await site.get(path, X_Request_ID=strange)).headers["X-Request-ID"]
            assert (given != strange, len(given)) == (True, 16)
    ids = {(await site.get("/healthz")).headers["X-Request-ID"] for _ in range(20)}
    assert len(ids) == 20
    assert site.requests()[-1]["request"] in ids


async def test_requests_are_written_down_without_what_they_ask(site: Site) -> None:
    token = await site.token()
    await site.get("/v1/tasks?limit=7", token)
    await site.get("/healthz")
    await site.get("/nosuch%E2%80%AE")
    listed, health, lost = site.requests()[-3:]
    assert "limit" not in repr(listed)
    assert (listed["method"], listed["path"], listed["status"]) == ("GET", "/v1/tasks", 200)
    assert (listed["token"], listed["client"], listed["level"]) == ("ada", "127.0.0.1", "info")
    assert (health["level"], lost["status"], lost["token"]) == ("debug", 404, "")
    assert 0 < listed["milliseconds"] < 5_000


async def test_pages_for_people_and_probes_are_there(site: Site) -> None:
    index = await site.get("/")
    assert b"/openapi.json" in index.body
    assert index.headers["X-Content-Type-Options"] == "nosniff"
    assert [(await site.get(path)).body for path in ("/healthz", "/readyz")] == [b"ok\n", b"ready\n"]
    assert (await site.ask("HEAD", "/v1/stats")).status == 200


class Broken(LocalTasks):
    async def stats(self) -> Stats:
        raise RuntimeError("a secret of the house")

    async def show(self, task: str) -> TaskDetails:
        raise {"store": RecordError("no disk"), "git": WorkspaceError("git failed")}[task]


async def test_however_many_ask_whether_it_is_ready_the_store_is_asked_once(user: CommandLine) -> None:
    clock = FakeClock(auto=False)
    async with open_site(user, clock=clock) as site:
        asked = 0

        async def ready() -> None:
            nonlocal asked
            asked += 1
            await asyncio.sleep(0.2)
            raise RecordError(f"cannot read {user.home}/kugetsu.db: the disk is gone")

        inside = site.server._app._inside
        inside.parts = dataclasses.replace(inside.parts, ready=ready)
        for times in (1, 2):
            answers = await asyncio.gather(*(site.get("/readyz") for _ in range(20)))
            assert ({(got.status, got.problem) for got in answers}, asked) == ({(503, "store")}, times)
            clock.advance(1)
        assert not any(str(user.home).encode() in got.body for got in answers)


async def test_what_nobody_foresaw_is_told_to_the_log_alone(user: CommandLine) -> None:
    async with open_site(user) as site, open_site(user, service=Broken(site.house)) as broken:
        got = await broken.get("/v1/stats")
        assert (got.status, got.problem, b"secret" in got.body) == (500, "internal", False)
        failed = next(line for line in broken.said if line["event"] == "request_failed")
        assert "RuntimeError: a secret of the house" in failed["traceback"]
        assert (failed["level"], failed["request"]) == ("error", got.headers["X-Request-ID"])
        assert (await broken.get("/v1/tasks/store")).problem == "store"
        assert (await broken.get("/v1/tasks/git")).problem == "workspace"
        assert len([line for line in broken.said if line["event"] == "request_failed"]) == 1


async def test_figures_are_counted_by_route_and_not_by_what_clients_make_up(site: Site) -> None:
    task = (await site.submit())["id"]
    await site.get(f"/v1/tasks/{task}")
    for number in range(3):
        await site.get(f"/v1/tasks/made-up-{number}")
        await site.ask("BREW", f"/made-up-{number}")
    got = await site.get("/metrics")
    assert got.headers["Content-Type"].startswith("text/plain")
    text = got.body.decode()
    assert 'kugetsu_http_requests_total{method="GET",route="/v1/tasks/{task}",status="200"} 1.0' in text
    assert 'kugetsu_http_requests_total{method="GET",route="/v1/tasks/{task}",status="404"} 3.0' in text
    assert 'kugetsu_http_requests_total{method="other",route="",status="404"} 3.0' in text
    assert 'kugetsu_tasks{state="pending"} 1.0' in text
    assert 'kugetsu_http_request_seconds_count{route="/v1/tasks"} 1.0' in text
    assert "made-up" not in text
    assert "python_info" not in text


class Told(msgspec.Struct):
    status: int
    body: object


class Hooks:
    def __init__(self) -> None:
        self.seen: list[tuple[str, bytes, str, str]] = []

    async def __call__(self, source: str, headers: Mapping[str, str], body: bytes, client: str) -> Told:
        if headers.get("x-signature") != "right":
            raise AccessError("the signature is wrong")
        self.seen.append((source, body, headers["content-type"], client))
        return Told(202, {"task": "abc"})


async def test_a_webhook_gets_its_bytes_as_they_are_and_needs_no_token(user: CommandLine) -> None:
    hooks = Hooks()
    http = HttpSettings(port=0, body_kb=1, failures_per_minute=4)
    async with open_site(user, webhooks=hooks, http=http) as site:
        await site.token()
        got = await site.post("/webhooks/forge", b'{ "a":1 }\n', X_Signature="right", Content_Type="text/x")
        assert (got.status, got.json()) == (202, {"task": "abc"})
        assert hooks.seen == [("forge", b'{ "a":1 }\n', "text/x", "127.0.0.1")]
        assert (await site.post("/webhooks/forge", b"x" * 1025, X_Signature="right")).problem == "too-large"
        assert (await site.get("/webhooks/forge")).status == 405
        wrong = [await site.post("/webhooks/forge", b"{}") for _ in range(3)]
        assert [got.status for got in wrong] == [401, 401, 429]
        assert (await site.post("/webhooks/forge", b"{}", X_Signature="right")).problem == "rate-limited"


async def answer_to_agents(scope: AsgiScope, receive: Receive, send: Send) -> None:
    caller: Caller = scope[CALLER]
    body = await Request(scope, receive).body()
    await PlainTextResponse(f"{caller.name} {sorted(caller.scopes)} {body.decode()}")(scope, receive, send)


async def test_what_is_mounted_for_agents_knows_its_caller(user: CommandLine) -> None:
    async with open_site(user, mcp=answer_to_agents, http=HttpSettings(port=0, body_kb=1)) as site:
        token = await site.token("submit")
        got = await site.post("/mcp", b"hello", token)
        assert (got.status, got.body) == (200, b"ada ['submit'] hello")
        assert (await site.post("/mcp", b"x" * 1025, token)).problem == "too-large"
        assert (await site.post("/mcp", b"hello", "kgt_a_b")).status == 401


class Counting:
    """Streams that count, and fail when they are told to."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self.ended = 0

    async def task(self, request: Request, task: str) -> Response:
        return PlainTextResponse(f"{task} {request.query_params.get('after')}")

    async def everything(self, request: Request) -> Response:
        async def parts() -> AsyncIterator[str]:
            yield "first\n"
            if request.query_params.get("after") == "13":
                raise RuntimeError("too late")
            await self.closed.wait()
            yield "last\n"
            self.ended += 1

        return StreamingResponse(parts(), media_type="text/event-stream")

    async def close(self) -> None:
        self.closed.set()


async def test_streams_are_ended_before_the_server_is(user: CommandLine) -> None:
    streams = Counting()
    async with aiohttp.ClientSession() as session:
        async with open_site(user, streams=streams, grace=5) as site:
            assert (await site.get("/v1/tasks/abc/events?after=3&follow=true")).body == b"abc 3"
            for wrong in ("after=x", "after=-1", "after=null", "follow=perhaps", "since=1"):
                assert (await site.get(f"/v1/tasks/abc/events?{wrong}")).problem == "bad-request"
            following = await session.get(f"{site.server.url}/v1/events")
            assert await following.content.readline() == b"first\n"
        assert (await following.content.read(), streams.ended) == (b"last\n", 1)
        assert site.requests()[-1]["path"] == "/v1/events"


async def test_an_answer_that_breaks_off_is_cut_and_not_ended(user: CommandLine) -> None:
    async with open_site(user, streams=Counting()) as site:
        with pytest.raises(aiohttp.ClientPayloadError):
            await site.get("/v1/events?after=13")
        while not (failed := [line for line in site.said if line["event"] == "request_failed"]):
            await asyncio.sleep(0.01)
        assert "too late" in failed[0]["sentence"]
