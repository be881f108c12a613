"""A server on loopback over a real store, and somebody who calls it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec

from kugetsu.app.house import House
from kugetsu.app.service import LocalTasks
from kugetsu.config import HttpSettings, LogLevel, Settings
from kugetsu.gateway.asgi import AsgiApp
from kugetsu.gateway.http.parts import Parts, Streams, Webhooks
from kugetsu.gateway.http.server import HttpServer, serving
from kugetsu.gateway.http.tokens import make_token
from kugetsu.protocols import Clock, Scope, SystemClock, TaskService
from support.command_line import CommandLine


class Got(msgspec.Struct):
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def problem(self) -> str:
        """The name of the problem it tells of."""
        assert self.headers["Content-Type"] == "application/problem+json", self.body
        found = self.json()
        assert found["status"] == self.status
        name: str = found["type"].removeprefix("urn:kugetsu:problem:")
        return name


@dataclass
class Site:
    user: CommandLine
    house: House
    server: HttpServer
    session: aiohttp.ClientSession
    said: list[dict[str, Any]] = field(default_factory=list)

    async def ask(self, method: str, path: str, body: Any = None, token: str = "", **headers: str) -> Got:
        """Call; `body` goes as JSON unless it is bytes. `_` in a header's name stands for `-`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        data = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        url = f"{self.server.url}{path}"
        async with self.session.request(method, _as_it_is(url), data=data, headers=sent, allow_redirects=False) as got:
            return Got(got.status, dict(got.headers), await got.read())

    async def get(self, path: str, token: str = "", **headers: str) -> Got:
        return await self.ask("GET", path, None, token, **headers)

    async def post(self, path: str, body: Any = None, token: str = "", **headers: str) -> Got:
        return await self.ask("POST", path, body, token, **headers)

    async def submit(self, **fields: Any) -> dict[str, Any]:
        got = await self.post("/v1/tasks", {"prompt": "do it", "repo": str(self.user.repo), **fields})
        assert got.status == 202, got.body
        task: dict[str, Any] = got.json()
        return task

    async def token(self, *scopes: Scope, name: str = "ada") -> str:
        kept, shown = make_token(name, scopes or ("admin",), self.house.clock.now())
        await self.house.store.add_token(kept)
        return shown

    def requests(self) -> list[dict[str, Any]]:
        """The lines of the access log."""
        return [line for line in self.said if line["event"] == "request"]


def _as_it_is(url: str) -> Any:
    """An address whose percent signs nobody touches."""
    from yarl import URL

    return URL(url, encoded=True)


@asynccontextmanager
async def open_site(
    user: CommandLine,
    settings: Settings | None = None,
    *,
    http: HttpSettings | None = None,
    clock: Clock | None = None,
    service: TaskService | None = None,
    streams: Streams | None = None,
    webhooks: Webhooks | None = None,
    mcp: AsgiApp | None = None,
    secret: str = "",
    grace: float = 1.0,
) -> AsyncIterator[Site]:
    """A server whose store is the user's."""
    if not user.repo.exists():
        user.make_repo({"a.txt": "a\n"})
    settings = settings or Settings(model=user.script({"text": "done"}))
    settings = msgspec.structs.replace(settings, http=http or HttpSettings(port=0))
    said: list[dict[str, Any]] = []

    def say(event: str, sentence: str, *, level: LogLevel = "info", **fields: object) -> None:
        said.append({"event": event, "sentence": sentence, "level": level, **fields})

    async with AsyncExitStack() as stack:
        house = await stack.enter_async_context(House(settings, user.home, user.environ))
        parts = Parts(
            service=service or LocalTasks(house),
            settings=settings,
            keyring=house.store,
            clock=clock or SystemClock(),
            say=say,
            ready=house.store.counts,
            streams=streams,
            webhooks=webhooks,
            mcp=mcp,
            secret=secret,
        )
        server = await stack.enter_async_context(serving(parts, grace=grace))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield Site(user, house, server, session, said)
