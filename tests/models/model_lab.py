"""Servers that send whatever bytes a test likes, and models that call them."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
import pytest

from kugetsu.config import ProviderSettings, Settings, Wire
from kugetsu.errors import ModelError
from kugetsu.messages import AssistantMessage, ReplyBuilder, user
from kugetsu.models import Models
from kugetsu.models.http_model import HttpModel
from kugetsu.models.opened import OpenedModel
from kugetsu.protocols import Model, ModelRequest, ToolSpec

KEY: Final = "sk-canary-4242424242"
REQUEST: Final = ModelRequest("Be brief.", [user("Hello")])
TOOLS: Final = (ToolSpec("read", "Read a file.", msgspec.Raw(b'{"type":"object","properties":{"path":{}}}')),)
WIRES: Final[tuple[Wire, ...]] = ("openai", "anthropic")

CHUNKED: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One piece of a chunked response."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def whole(body: bytes, *, status: str = "200 OK", kind: str = "text/event-stream", headers: str = "") -> bytes:
    """A response of known length."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


class RawServer:
    """Answers every request with the same bytes.

    Attributes:
        requests: heads and bodies that came.
        connections: how many were opened.
        gone: set when a connection has ended.
    """

    def __init__(self, pieces: tuple[bytes, ...], *, reset: bool, deaf: bool) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.gone = asyncio.Event()
        self.base_url = ""
        self._pieces = pieces
        self._reset = reset
        self._deaf = deaf

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            if self._deaf:
                await asyncio.Event().wait()
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
                self.requests.append(head + await reader.readexactly(length))
                await self._send(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.gone.set()
            writer.close()

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        for piece in self._pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)
        if self._reset:
            raw: socket.socket = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            raise ConnectionResetError


@asynccontextmanager
async def raw_server(*pieces: bytes, reset: bool = False, deaf: bool = False) -> AsyncIterator[RawServer]:
    """Serve pieces of bytes, a moment between them; then reset the connection, or wait for the next request.

    A deaf server takes connections but reads nothing.
    """
    raw = RawServer(pieces, reset=reset, deaf=deaf)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.get_running_loop().create_task(raw.answer(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    raw.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield raw
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def settings_for(base_url: str, wire: Wire = "openai", **changes: Any) -> Settings:
    """Settings with one provider, `test`."""
    return Settings(providers={"test": ProviderSettings(wire=wire, base_url=base_url, api_key=KEY, **changes)})


@asynccontextmanager
async def model_at(base_url: str, wire: Wire = "openai", **changes: Any) -> AsyncIterator[Model]:
    """The model `test/m` of a server."""
    async with Models(settings_for(base_url, wire, **changes), {}) as models:
        yield models.open("test/m")


def wire_of(model: Model) -> HttpModel:
    """What all who opened a model over HTTP share."""
    assert isinstance(model, OpenedModel)
    return model.own


async def ask(model: Model, request: ModelRequest = REQUEST) -> AssistantMessage:
    """Get a whole reply."""
    builder = ReplyBuilder(model.name)
    async for delta in model.stream(request):
        builder.add(delta)
    assert builder.ended
    return builder.message()


async def fail(model: Model, request: ModelRequest = REQUEST) -> ModelError:
    """Get the failure of a call."""
    with pytest.raises(ModelError) as caught:
        await ask(model, request)
    return caught.value


async def reply_to(wire: Wire, *events: object, **changes: Any) -> AssistantMessage:
    """The reply that a model makes of these events; bytes are sent as they are."""
    async with raw_server(whole(sse(*events))) as server, model_at(server.base_url, wire, **changes) as model:
        return await ask(model)


async def failure_of(wire: Wire, *events: object) -> ModelError:
    """The failure that a model makes of these events."""
    async with raw_server(whole(sse(*events))) as server, model_at(server.base_url, wire) as model:
        return await fail(model)


def sse(*events: object) -> bytes:
    """Write events; bytes are data as they are, anything else is JSON."""
    written = (data if isinstance(data, bytes) else msgspec.json.encode(data) for data in events)
    return b"".join(b"data: %s\n\n" % data for data in written)
