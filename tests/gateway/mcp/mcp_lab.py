"""A user with a server that works on the queue, and calls of the tools that are held to what the tools promise."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, MutableMapping
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import Any, Final

import jsonschema  # type: ignore[import-untyped]  # comes with the SDK, without types
import msgspec
import uvicorn

from kugetsu.app.house import House
from kugetsu.app.records import SERVING
from kugetsu.app.service import LocalTasks
from kugetsu.config import Settings
from kugetsu.gateway.asgi import CALLER, AsgiScope, Receive, Send
from kugetsu.gateway.mcp.calls import Call, Reply, do
from kugetsu.gateway.mcp.http import McpMount
from kugetsu.gateway.mcp.schemas import schema_of
from kugetsu.gateway.mcp.tools import TOOLS
from kugetsu.protocols import Scope
from support.command_line import CommandLine, tool

COMMAND: Final = [sys.executable, "-m", "kugetsu", "mcp"]

WRITES: Final = (
    {"text": "I write it down.", "tool_calls": [tool("write", path="note.txt", content="hello\n")]},
    {"text": "The note is there."},
)
ASKS: Final = ({"tool_calls": [tool("ask", question="Which colour?")]}, {"text": "It is blue."})
SLOW: Final = ({"text": "thinking", "delay": 30.0},)


@asynccontextmanager
async def opened(user: CommandLine, settings: Settings | None = None) -> AsyncIterator[LocalTasks]:
    """The tasks of a user whose queue nobody works on."""
    async with House(settings or Settings(), user.home, user.environ) as house:
        yield LocalTasks(house)


@asynccontextmanager
async def served(user: CommandLine, settings: Settings | None = None) -> AsyncIterator[LocalTasks]:
    """The tasks of a user whose queue is worked on."""
    async with (
        House(settings or Settings(), user.home, user.environ, name=SERVING) as house,
        asyncio.TaskGroup() as group,
    ):
        working = group.create_task(house.worker.serve(house.shadow_of, room=lambda running: 4 - running))
        await house.worker.ready()
        yield LocalTasks(house)
        house.worker.interrupt()
        house.worker.stop()
        await working


async def use(call: Call, name: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool; its answer, which fits the schema that clients are shown."""
    reply = await do(TOOLS, name, arguments, nullcontext(call))
    assert reply.answer is not None, reply.text
    answer: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(reply.answer))
    jsonschema.validate(answer, schema_of(TOOLS[name].answer))
    return answer


async def refused(call: Call, name: str, **arguments: Any) -> str:
    """Call a tool that refuses; its words."""
    reply: Reply = await do(TOOLS, name, arguments, nullcontext(call))
    assert reply.answer is None, reply.text
    return reply.text


class Caller(msgspec.Struct, frozen=True):
    name: str
    scopes: frozenset[Scope]
    address: str


class Front:
    """What stands before the mount: it says who asks, by a header, and nobody who has none."""

    def __init__(self, mount: McpMount) -> None:
        self._mount = mount

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        headers: Mapping[bytes, bytes] = dict(scope["headers"])
        named = headers.get(b"x-scopes", b"").decode().split()
        if named:
            scope[CALLER] = Caller("tester", frozenset(named), "127.0.0.1")  # type: ignore[arg-type]  # scopes, as text
        await self._mount(scope, receive, send)


@asynccontextmanager
async def listening(mount: McpMount) -> AsyncIterator[str]:
    """The address at which a mount can be reached."""
    config = uvicorn.Config(Front(mount), port=0, lifespan="off", log_config=None, timeout_graceful_shutdown=5)
    server = _Quiet(config)
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(server.serve())
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/mcp"
        finally:
            server.should_exit = True
            with suppress(asyncio.CancelledError):
                await serving


class _Quiet(uvicorn.Server):
    def install_signal_handlers(self) -> None:
        """The tests keep theirs."""


async def wait_for_state(call: Call, task: str, state: str) -> MutableMapping[str, Any]:
    async with asyncio.timeout(20):
        while True:
            answer = (await use(call, "kugetsu_status", task=task))["task"]
            if answer["state"] == state:
                found: MutableMapping[str, Any] = answer
                return found
            await asyncio.sleep(0.05)
