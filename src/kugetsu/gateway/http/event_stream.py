"""An answer that never needs to end: server-sent events for one client, at the client's pace.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from kugetsu.concurrency import first_error
from kugetsu.errors import KugetsuError
from kugetsu.gateway.asgi import COUNTS
from kugetsu.gateway.http.connections import Connection
from kugetsu.gateway.http.cursors import Cursor
from kugetsu.gateway.http.tail import Listener, Tail

PING_SECONDS: Final = 15.0
"""How often a client hears that the connection lives."""

_PING: Final = b": ping\n\n"
_STOPPED: Final = b'event: end\ndata: {"reason":"shutdown"}\n\n'
_REFUSED: Final = b'event: end\ndata: {"reason":"unauthorised"}\n\n'
_NOTICE_SECONDS: Final = 1.0

_HEADERS: Final = {
    "content-type": "text/event-stream",
    "cache-control": "no-store",
    "x-accel-buffering": "no",  # nginx would wait until there is more
}

_logger: Final = logging.getLogger(__name__)


class Followers:
    """Who follows events at present.

    Attributes:
        count: how many.
        dropped: how many were dropped because they took nothing.
        closing: whether all are sent away.
    """

    def __init__(self) -> None:
        self.count = 0
        self.dropped = 0
        self.closing = False


class Seat:
    """The place of one client among those who follow, from when it is let in until it leaves."""

    def __init__(self, followers: Followers) -> None:
        self.followers = followers
        self._taken = True
        followers.count += 1

    def leave(self) -> None:
        """Give it up. May be called twice."""
        if self._taken:
            self._taken = False
            self.followers.count -= 1

    def __del__(self) -> None:
        self.leave()  # an answer that nobody sent


class EventStream(Response):
    """Sends a client what its cursor gives, whenever there is something.

    Args:
        cursor: where the client stands.
        first: what its cursor gave already.
        tail: tells when there is something.
        seat: of the client.
        seconds: a client that takes nothing for so long is dropped.
    """

    def __init__(self, cursor: Cursor, first: bytes, tail: Tail, seat: Seat, seconds: float) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._cursor = cursor
        self._first = first
        self._tail = tail
        self._seat = seat
        self._followers = seat.followers
        self._seconds = seconds
        self._gone = False
        self._counts: Callable[[], Awaitable[bool]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; returns when everything was sent, the client is gone or may no longer hear it, or the server stops."""
        self._counts = scope.get(COUNTS)
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if scope["method"] == "HEAD":
                await send({"type": "http.response.body"})
            else:
                await self._stream(Connection(scope), receive, send)
        finally:
            self._seat.leave()

    async def _stream(self, connection: Connection, receive: Receive, send: Send) -> None:
        connection.bound(self._seconds)
        with self._tail.listen(self._cursor.lane) as listener, first_error():
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(self._watch(receive, listener.tell))
                if not await self._serve(listener, send):
                    connection.break_off()
                    await self._notice()
                watching.cancel()

    async def _serve(self, listener: Listener, send: Send) -> bool:
        """Send events until there will be no more; False when the answer cannot be brought to its end."""
        try:
            await self._send(send, self._first)
            self._first = b""
            while not (self._gone or self._cursor.over):
                listener.heard()
                piece = await self._cursor.next()
                if self._counts is not None and not await self._counts():
                    await self._send(send, _REFUSED)
                    break
                await self._send(send, piece)
                if self._followers.closing and not self._cursor.over:
                    await self._send(send, _STOPPED)
                    break
                if not piece and not await listener.wait(PING_SECONDS):
                    self._cursor.doubt()
                    await self._send(send, _PING)
            await self._send(send, b"", more=False)
        except TimeoutError:
            self._followers.dropped += 1
            _logger.info("a client that follows events took nothing for %g seconds and was dropped", self._seconds)
            return False
        except KugetsuError as error:
            _logger.warning("a client that follows events was cut off: %s", error)
            return False
        return True

    async def _send(self, send: Send, data: bytes, *, more: bool = True) -> None:
        """Send a piece.

        Raises:
            TimeoutError: the client took nothing for too long.
        """
        if data or not more:
            async with asyncio.timeout(self._seconds):
                await send({"type": "http.response.body", "body": data, "more_body": more})

    async def _watch(self, receive: Receive, tell: Callable[[], None]) -> None:
        """Wait until the client is gone."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        tell()

    async def _notice(self) -> None:
        """Wait a moment until the server knows that the connection is gone: else it complains of half an answer."""
        for _ in range(100):
            if self._gone:
                return
            await asyncio.sleep(_NOTICE_SECONDS / 100)
