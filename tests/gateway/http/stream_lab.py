"""Event streams on a real store, served on loopback, and clients that read them byte by byte if they like."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn.server import ServerState

from kugetsu.config import HttpSettings
from kugetsu.errors import KugetsuError
from kugetsu.events import Event, Noted, TaskFinished, encode_event
from kugetsu.gateway.http.connections import BreakableProtocol
from kugetsu.gateway.http.problems import problem_of
from kugetsu.gateway.http.streaming import EventStreams
from kugetsu.messages import encode_json
from kugetsu.protocols import Claim, Store, WorkerInfo
from kugetsu.tasks import Ending, Outcome, Task, new_task_id


class Sent(NamedTuple):
    """One server-sent event as it came."""

    id: str
    name: str
    data: str

    @property
    def json(self) -> Any:
        return json.loads(self.data)


class Running:
    """A task that somebody works on, and that says things."""

    def __init__(self, store: Store, claim: Claim, seq: int) -> None:
        self.id = claim.record.id
        self._store = store
        self._claim = claim
        self._seq = seq

    async def say(self, *messages: str, gap: int = 1) -> list[Event]:
        """Write events, all in one transaction; their numbers may have gaps."""
        events: list[Event] = []
        for message in messages:
            self._seq += gap
            events.append(Noted(message, task=self.id, seq=self._seq, at=1.0))
        await self._store.append(self._claim.lease, (), events=events)
        return events

    async def finish(self) -> None:
        outcome = Outcome("completed", "all is well")
        self._seq += 1
        last = TaskFinished("completed", outcome, "bye", task=self.id, seq=self._seq, at=2.0)
        ending = Ending(state="completed", outcome=outcome, report=self._claim.record.report)
        await self._store.settle(self._claim.lease, ending, events=[last])


class Works:
    """Somebody who submits and works on tasks."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def submit(self) -> str:
        task = Task(id=new_task_id(), prompt="p", repo="/r", model="m")
        return (await self.store.submit(task)).record.id

    async def start(self) -> Running:
        """A task that runs."""
        await self.store.register(WorkerInfo("w", "here", 1, "w"), 3600.0)
        task = await self.submit()
        claim = await self.store.claim_task("w", task)
        events = await self.store.events(task)
        return Running(self.store, claim, events[-1].seq)


class Client:
    """Reads streams."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url

    @asynccontextmanager
    async def open(self, path: str, *, last: str | None = None) -> AsyncIterator[AsyncIterator[Sent]]:
        headers = {} if last is None else {"Last-Event-ID": last}
        async with self.session.get(self.url + path, headers=headers) as response:
            assert response.status == 200, await response.text()
            assert response.headers["Content-Type"] == "text/event-stream"
            yield parse(response)

    async def read(self, path: str, *, last: str | None = None) -> list[Sent]:
        """Everything up to the end of a stream."""
        async with self.open(path, last=last) as events:
            return [event async for event in events]

    async def refused(self, path: str, *, last: str | None = None) -> tuple[int, Any, Any]:
        headers = {} if last is None else {"Last-Event-ID": last}
        async with self.session.get(self.url + path, headers=headers) as response:
            return response.status, json.loads(await response.read()), response.headers


async def parse(response: aiohttp.ClientResponse) -> AsyncIterator[Sent]:
    fields: dict[str, str] = {}
    async for line in response.content:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            fields[name] = value
        elif fields.keys() - {""}:
            yield Sent(fields.get("id", ""), fields.get("event", ""), fields.get("data", ""))
            fields = {}


async def take(events: AsyncIterator[Sent], number: int) -> list[Sent]:
    async with asyncio.timeout(20):
        return [await anext(events) for _ in range(number)]


def shown(events: Sequence[Event]) -> list[str]:
    return [encode_event(event).decode() for event in events]


class Lab(NamedTuple):
    streams: EventStreams
    client: Client
    works: Works


@asynccontextmanager
async def open_lab(store: Store, *, budget: int = 2**20, **settings: Any) -> AsyncIterator[Lab]:
    """Serve the streams of a store on a free port."""
    streams = EventStreams(store, HttpSettings(**settings), budget=budget)

    async def task(request: Request) -> Response:
        return await streams.task(request, request.path_params["task"])

    async def refuse(_request: Request, error: Exception) -> Response:
        problem, headers = problem_of(error)
        named = {header.name.decode(): header.value.decode() for header in headers}
        return Response(encode_json(problem), problem.status, named)

    app = Starlette(
        routes=[Route("/v1/events", streams.everything), Route("/v1/tasks/{task:path}/events", task)],
        exception_handlers={KugetsuError: refuse},
    )
    async with streams.running(), _served(app) as url, aiohttp.ClientSession() as session:
        yield Lab(streams, Client(session, url), Works(store))
        await streams.close()


@asynccontextmanager
async def _served(app: Starlette) -> AsyncIterator[str]:
    """Serve an application as uvicorn does, without what it does around it."""
    config = uvicorn.Config(app, http=BreakableProtocol, log_config=None, lifespan="off")
    config.load()
    state = ServerState()

    def connect() -> BreakableProtocol:
        return BreakableProtocol(config=config, server_state=state, app_state={})

    server = await asyncio.get_running_loop().create_server(connect, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for connection in list(state.connections):
            connection.shutdown()
        await until(lambda: not (state.connections or state.tasks))


async def until(met: Any, seconds: float = 20.0) -> None:
    """Wait until a condition is met."""
    async with asyncio.timeout(seconds):
        for _ in itertools.count():
            if met():
                return
            await asyncio.sleep(0.005)
