"""Serving over standard input and output: one client, which started us, and nothing but the protocol on stdout.

Reading and writing block in daemon threads of our own, not in the SDK's: those could not be left while they block, and
SIGTERM would have to wait for the client's next line.
"""

import asyncio
import os
import queue
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import anyio
from mcp.server import Server
from mcp.server.stdio import stdio_server

from kugetsu.concurrency import first_error

_CHUNK: Final = 65_536
_MOST_WAITING: Final = 16
"""Chunks that are read before they are wanted."""

_OVER: Final = (BrokenPipeError, anyio.BrokenResourceError, anyio.ClosedResourceError)
"""Nobody reads any more; or the SDK ends, and one of its tasks still hands another one something."""


async def serve_stdio(server: Server[Any]) -> None:
    """Serve the client at stdin and stdout until it is gone. What else is printed meanwhile goes to stderr."""
    with _diverted() as (stdin, stdout), suppress(*_OVER), first_error():
        lines: Any = _Lines(stdin)  # the SDK wants files of anyio, and uses only what is here
        sink: Any = _Sink(stdout)
        async with stdio_server(lines, sink) as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())


@contextmanager
def _diverted() -> Iterator[tuple[int, int]]:
    """Take stdin and stdout for us alone: what programs and libraries read and print by mistake does not meet the wire."""
    stdin, stdout = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    try:
        os.dup2(nothing, 0)
        os.dup2(2, 1)
        yield stdin, stdout
    finally:
        os.dup2(stdin, 0)
        os.dup2(stdout, 1)
        os.close(nothing)  # the other two stay open: a thread may still block on them


class _Lines:
    """The lines of a file descriptor; bytes that are no UTF-8 are replaced."""

    def __init__(self, source: int) -> None:
        self._source = source
        self._loop = asyncio.get_running_loop()
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue(_MOST_WAITING)

    async def __aiter__(self) -> AsyncIterator[str]:
        threading.Thread(target=self._read, name="kugetsu-mcp-stdin", daemon=True).start()
        rest = b""
        while chunk := await self._chunks.get():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if line.strip():
                    yield line.decode("utf-8", "replace")
        if rest.strip():
            yield rest.decode("utf-8", "replace")

    def _read(self) -> None:
        chunk = b"-"
        while chunk:
            try:
                chunk = os.read(self._source, _CHUNK)
            except OSError:
                chunk = b""
            with suppress(RuntimeError):  # the loop is over, and so are we
                asyncio.run_coroutine_threadsafe(self._chunks.put(chunk), self._loop).result()


class _Sink:
    """Writes texts to a file descriptor, one after the other."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._loop = asyncio.get_running_loop()
        self._texts: queue.SimpleQueue[tuple[bytes, asyncio.Future[None]]] = queue.SimpleQueue()
        threading.Thread(target=self._write_all, name="kugetsu-mcp-stdout", daemon=True).start()

    async def write(self, text: str) -> None:
        """Write a text; back when it is written.

        Raises:
            BrokenPipeError: nobody reads any more.
        """
        written = self._loop.create_future()
        self._texts.put((text.encode(), written))
        await written

    async def flush(self) -> None:
        """Nothing is held back."""

    def _write_all(self) -> None:
        while True:
            rest, written = self._texts.get()
            failed = False
            try:
                while rest:
                    rest = rest[os.write(self._target, rest) :]
            except OSError:
                failed = True
            with suppress(RuntimeError):  # the loop is over, and so are we
                self._loop.call_soon_threadsafe(_settle, written, failed)


def _settle(written: asyncio.Future[None], failed: bool) -> None:
    if written.done():  # whoever waited was cancelled
        return
    if failed:
        written.set_exception(BrokenPipeError("nobody reads what the MCP server says"))
    else:
        written.set_result(None)
