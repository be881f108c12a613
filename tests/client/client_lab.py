"""A server that answers as it is told, byte by byte, and notes what it was asked."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeAlias

from kugetsu.events import Noted, encode_event
from kugetsu.protocols import TaskDetails


class Asked(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


Behaviour: TypeAlias = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


class FakeServer:
    """Does for each request what comes next in its list; the last for all that follow."""

    def __init__(self, *behaviours: Behaviour) -> None:
        self.asked: list[Asked] = []
        self.url = ""
        self.port = 0
        self._behaviours = list(behaviours)
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; once more on the same port after a stop."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
            method, path, _ = head[0].split()
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            asked = Asked(method, path, headers, body)
            self.asked.append(asked)
            behave = self._behaviours.pop(0) if len(self._behaviours) > 1 else self._behaviours[0]
            await behave(asked, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def fake_server(*behaviours: Behaviour) -> AsyncIterator[FakeServer]:
    server = FakeServer(*behaviours)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def answer(status: int, body: object, kind: str = "application/json", **headers: str) -> Behaviour:
    """Answer in whole."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def behave(_asked: Asked, writer: asyncio.StreamWriter) -> None:
        more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n{more}Connection: close\r\n\r\n"
        writer.write(head.encode() + data)
        await writer.drain()

    return behave


def problem(name: str, status: int, **fields: Any) -> Behaviour:
    """Refuse."""
    body = {"type": f"urn:kugetsu:problem:{name}", "title": "t", "status": status, "detail": f"{name} it is", **fields}
    return answer(status, body, "application/problem+json")


async def hang_up(_asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Take the request and say nothing."""
    writer.transport.abort()


async def say_nothing(_asked: Asked, _writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


def stream(*parts: bytes, ends: bool = False) -> Behaviour:
    """Stream these bytes, then break off; or end in good order."""

    async def behave(_asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for part in parts:
            writer.write(b"%x\r\n%s\r\n" % (len(part), part))
            await writer.drain()
            await asyncio.sleep(0)
        if ends:
            writer.write(b"0\r\n\r\n")
            await writer.drain()

    return behave


def event(number: int, message: str = "") -> bytes:
    """An event as a server sends it."""
    noted = Noted(message or f"event {number}", task="t1", seq=number, at=1.0)
    return b"id: %d\nevent: noted\ndata: %s\n\n" % (number, encode_event(noted))


END = b'event: end\ndata: {"state":"completed"}\n\n'
SHUTDOWN = b'event: end\ndata: {"reason":"shutdown"}\n\n'

DETAILS = TaskDetails(id="t1", state="pending", prompt="p", model="m", repo="/r")
