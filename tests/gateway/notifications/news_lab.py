"""A receiver of news on loopback, a store with tasks, and a dispatcher between them; time passes when a test waits."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from kugetsu.config import Settings, TargetSettings
from kugetsu.gateway.notifications import Dispatcher
from kugetsu.messages import Usage
from kugetsu.protocols import Claim, Delivery, DeliveryState, Store
from kugetsu.tasks import CheckResult, Commit, Outcome, OutcomeClass, TaskReport, TaskState
from kugetsu.testing import FakeClock
from storage.store_lab import Lab

SECRET = "shared-with-the-receiver"

Behave = Callable[["Heard"], Awaitable[web.StreamResponse]]


class Heard:
    """A request that came in."""

    def __init__(self, path: str, headers: dict[str, str], raw: bytes) -> None:
        self.path = path
        self.headers = headers
        self.raw = raw
        self.body: dict[str, Any] = json.loads(raw)
        self.request: web.Request | None = None

    @property
    def id(self) -> str:
        return self.headers["X-Request-ID"]

    @property
    def task(self) -> str:
        found: str = self.body["id"]
        return found

    def require_signed(self, secret: str = SECRET) -> None:
        def digest(data: bytes) -> str:
            return hmac.new(secret.encode(), data, hashlib.sha256).hexdigest()

        stamp = self.headers["X-Webhook-Timestamp"]
        assert self.headers["X-Webhook-Signature-V2"] == digest(f"{stamp}.".encode() + self.raw)
        assert self.headers["X-Hub-Signature-256"] == f"sha256={digest(self.raw)}"


class Receiver:
    """Takes news, and behaves as it is told: the next of `script`, and 200 once that is used up."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.script: list[Behave | int] = []
        self.url = ""
        self.at_once = self.most_at_once = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        heard = Heard(request.raw_path, dict(request.headers), await request.read())
        heard.request = request
        self.heard.append(heard)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            behave = self.script.pop(0) if self.script else 200
            return web.Response(status=behave) if isinstance(behave, int) else await behave(heard)
        finally:
            self.at_once -= 1


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", receiver.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    receiver.url = f"http://127.0.0.1:{port}"
    try:
        yield receiver
    finally:
        await runner.cleanup()


def answering(status: int, body: str = "", **headers: str) -> Behave:
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def answer(_heard: Heard) -> web.StreamResponse:
        return web.Response(status=status, text=body, headers=named)

    return answer


async def hang(_heard: Heard) -> web.StreamResponse:
    await asyncio.sleep(3600)
    raise AssertionError


def hermes() -> Behave:
    """Answer like Hermes: what was heard under a request id before is a duplicate, whatever became of it."""
    known: set[str] = set()

    async def answer(heard: Heard) -> web.StreamResponse:
        if heard.id in known:
            return web.json_response({"status": "duplicate", "delivery_id": heard.id})
        known.add(heard.id)
        return web.json_response({"status": "accepted"}, status=202)

    return answer


class News:
    """Tasks that come to their ends, a dispatcher, and what it said.

    Attributes:
        clock: of the store and the dispatcher; `until` lets it pass.
    """

    def __init__(self, store: Store, clock: FakeClock, directory: Path) -> None:
        self.store = store
        self.clock = clock
        self.lab = Lab(store, clock)
        self.directory = directory
        self.said: list[str] = []
        self.environ: dict[str, str] = {"HOME": str(directory), "PATH": "/usr/bin:/bin"}

    def dispatcher(self, settings: Settings) -> Dispatcher:
        return Dispatcher(self.store, settings, self.environ, self.clock, self.said.append)

    async def finish(self, name: str = "a", state: TaskState = "completed", **fields: Any) -> None:
        """Let a task come to an end; fields are of the submission."""
        ending = {key: fields.pop(key) for key in ("kind", "message", "question", "report") if key in fields}
        claim = await self.lab.running(name, **fields)
        await self.lab.settle(claim, state, **{"report": a_report(claim), **ending})

    async def until(self, condition: Callable[[], bool | Awaitable[bool]], *, seconds: float = 20.0) -> None:
        """Wait for something, while time passes a hundred times as fast as it does."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            assert loop.time() < end, f"it never came to this; said: {self.said}; {await self.store.deliveries()}"
            self.clock.advance(0.5)
            await asyncio.sleep(0.005)

    async def settled(self, *states: DeliveryState) -> list[Delivery]:
        """Wait until nothing is under way any more; the deliveries, oldest first."""

        async def none_pending() -> bool:
            unrouted = [one for one in await self.store.changes() if one.state not in {"pending", "running"}]
            return not (unrouted or await self.store.deliveries(states=["pending"]))

        await self.until(none_pending)
        found = (await self.store.deliveries())[::-1]
        if states:
            assert [one.state for one in found] == list(states), found
        return found

    async def delivery(self) -> Delivery:
        (found,) = await self.store.deliveries()
        return found


def a_report(claim: Claim, **fields: Any) -> TaskReport:
    import msgspec

    given = {
        "summary": "I fixed it.",
        "branch": f"kugetsu/{claim.record.id}-fix",
        "base": "b" * 40,
        "commits": (Commit("c" * 40, "Fix it"), Commit("d" * 40, "Test it")),
        "files_changed": 3,
        "check": CheckResult("make test", True, 0, ""),
        "turns": 4,
        "seconds": 125.0,
        "usage": Usage(input=1000, output=10, cost_usd=0.42),
    }
    return msgspec.structs.replace(claim.record.report, **{**given, **fields})


def webhook(url: str, **fields: Any) -> TargetSettings:
    return TargetSettings(**{"url": url, "secret": SECRET, "timeout_seconds": 60.0, **fields})


def settings(**targets: TargetSettings) -> Settings:
    return Settings(notify=targets)


def an_outcome(kind: OutcomeClass = "completed", message: str = "done", **fields: Any) -> Outcome:
    return Outcome(kind, message, **fields)
