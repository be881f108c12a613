"""The server: uvicorn, in the event loop of the program it is part of, which keeps its own signals."""

import asyncio
import contextlib
import resource
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Final

import uvicorn

from kugetsu.concurrency import first_error
from kugetsu.gateway.http.application import Application, application
from kugetsu.gateway.http.deadlines import Connections
from kugetsu.gateway.http.parts import Parts
from kugetsu.gateway.http.sockets import BACKLOG, listen, url_of

GRACE_SECONDS: Final = 5.0
"""How long requests under way may take when the server stops."""

_KEEP_ALIVE_SECONDS: Final = 30
_HEAD_BYTES: Final = 32 * 1024
_MORE_CONNECTIONS: Final = 1_000
"""Beside those of clients that follow events."""

_LEAVING_SECONDS: Final = 1.0


class _Quiet(uvicorn.Server):
    """Uvicorn without its handlers of signals: they are the program's."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin, and say so."""
        await super().startup(sockets)
        self.listening.set()

    def stop_listening(self) -> None:
        """Take no more connections; those that there are go on."""
        for listener in self.servers if self.started else ():
            listener.close()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


class HttpServer:
    """A server that answers; made by `serving`.

    Args:
        app: what answers.
        url: where programs on this machine reach it.

    Attributes:
        url: where programs on this machine reach it.
    """

    def __init__(self, app: Application, url: str) -> None:
        self.url = url
        self._app = app

    def begin_to_stop(self) -> None:
        """Say `readyz` no more. Everything else is still answered, until `serving` ends."""
        self._app.begin_to_stop()


@asynccontextmanager
async def serving(parts: Parts, *, grace: float = GRACE_SECONDS) -> AsyncIterator[HttpServer]:
    """Serve while the block runs. At its end no more is taken in, streams are ended, and requests come to their end.

    Args:
        parts: what the application is put together from.
        grace: seconds that requests under way may take at the end.

    Raises:
        ConfigError: it cannot listen there: the port is taken, the address is none of this machine, or others could reach
            it there and there is no token.
        RecordError: the tokens cannot be read.
    """
    app = application(parts)
    await app.access.require_startable(parts.settings.http.host)
    sockets = await asyncio.to_thread(listen, parts.settings.http)
    server = _server(app, parts, grace)
    with first_error():
        async with asyncio.TaskGroup() as group:
            running = group.create_task(server.serve(sockets))
            try:
                await server.listening.wait()
                yield HttpServer(app, url_of(sockets))
            finally:
                app.close()
                server.stop_listening()
                if parts.streams is not None:
                    await parts.streams.close()
                server.should_exit = True
                await running
                await _end_all(server)


def _server(app: Application, parts: Parts, grace: float) -> _Quiet:
    files = most_files()
    most = min(parts.settings.http.streams + _MORE_CONNECTIONS, files // 2)
    kind = type("Connections", (Connections,), {"most": most})
    return _Quiet(
        uvicorn.Config(
            app,
            http=kind,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",  # what clients do wrong is no news of the program
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=max(1, round(grace)),
            h11_max_incomplete_event_size=_HEAD_BYTES,
            backlog=min(BACKLOG, max(1, files // 8)),  # so many are accepted before one can be refused
        )
    )


def most_files() -> int:
    """Files that this process may have open: clients take no more than their part of them, for agents need some, too."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if most == resource.RLIM_INFINITY else most


async def _end_all(server: uvicorn.Server) -> None:
    """See to it that nothing of the server is left, whatever its clients do."""
    for connection in tuple(server.server_state.connections):
        if connection.transport is not None:
            connection.transport.abort()
    if server.server_state.tasks:
        await asyncio.wait(tuple(server.server_state.tasks), timeout=_LEAVING_SECONDS)
