"""Bodies of requests, taken in whole: never more than is allowed, and never for longer than is decent."""

import asyncio
from collections.abc import Mapping
from typing import Final

from kugetsu.gateway.asgi import Message, Receive
from kugetsu.gateway.http.problems import Refusal

SECONDS: Final = 20.0
"""A body must be there within this time."""

_STRANGERS_BYTES: Final = 32 * 2**20
_STRANGERS_BODIES: Final = 2

_MOST_LEFT_BYTES: Final = 8 * 2**20
_LEFT_SECONDS: Final = 5.0
"""What a refused client still sends is taken for so long and so much, so that it gets to read why."""

_KILOBYTE: Final = 1024
_JSON: Final = "application/json"


class ClientGoneError(Exception):
    """Whoever sent the request is no longer there: nobody can be answered."""


class Room:
    """Memory for the bodies of those who prove who they are by their body alone: all of them share it.

    Args:
        most_kb: how large one body may be.
    """

    def __init__(self, most_kb: int) -> None:
        self._free = max(_STRANGERS_BYTES, _STRANGERS_BODIES * most_kb * _KILOBYTE)

    def take(self, size: int) -> None:
        """Take some of it.

        Raises:
            Refusal: `rate-limited`: there is not so much.
        """
        if size > self._free:
            raise Refusal("rate-limited", "too many bodies come in at the same time", retry_after=SECONDS)
        self._free -= size

    def give_back(self, size: int) -> None:
        """It is needed no longer."""
        self._free += size


class Body:
    """The body of one request.

    Args:
        receive: of the ASGI server.
        headers: of the request.
        most_kb: how large it may be.

    Attributes:
        whole: whether all of it was taken in, so that the connection can go on.
        room: where it is held while the request is answered; None for where that need not be counted.
    """

    def __init__(self, receive: Receive, headers: Mapping[str, str], most_kb: int) -> None:
        self._receive = receive
        self._headers = headers
        self._most = most_kb * _KILOBYTE
        self.room: Room | None = None
        self._held = 0
        self.whole = "content-length" not in headers and "transfer-encoding" not in headers

    async def read(self) -> bytes:
        """Take it in.

        Raises:
            Refusal: `too-large`, or `timeout`.
            ClientGoneError: the sender went away.
        """
        if self.whole:
            return b""
        self._require_fitting(self._announced())
        try:
            async with asyncio.timeout(SECONDS):
                return await self._take()
        except TimeoutError:
            raise Refusal("timeout", f"the body was not there after {SECONDS:g} seconds") from None

    async def read_json(self) -> bytes:
        """Take it in; it must be empty, or say that it is JSON.

        Raises:
            Refusal: `media-type`, or as for `read`.
            ClientGoneError: the sender went away.
        """
        body = await self.read()
        kind = self._headers.get("content-type", "").partition(";")[0].strip().lower()
        if body and kind != _JSON:
            raise Refusal("media-type", f"the body is {kind[:100]!a}", fix=f"send `Content-Type: {_JSON}`")
        if body and self._headers.get("content-encoding", "identity").lower() != "identity":
            raise Refusal("media-type", "the body is compressed", fix="send it as it is")
        return body

    def release(self) -> None:
        """Give back the room that it takes. May be called twice."""
        if self.room is not None:
            self.room.give_back(self._held)
            self._held = 0

    async def skip(self) -> None:
        """Take what is still coming, within limits, and forget it. Raises nothing but `CancelledError`."""
        if self.whole or "expect" in self._headers:
            return
        left = _MOST_LEFT_BYTES
        try:
            async with asyncio.timeout(_LEFT_SECONDS):
                while left > 0 and not self.whole:
                    message = await self._receive()
                    left -= len(message.get("body", b""))
                    self.whole = not message.get("more_body", False)
        except TimeoutError:
            pass

    async def _take(self) -> bytes:
        pieces, size = [], 0
        while not self.whole:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            piece = message.get("body", b"")
            size += len(piece)
            self.whole = not message.get("more_body", False)
            self._require_fitting(size)
            if self.room is not None:
                self.room.take(len(piece))
                self._held += len(piece)
            pieces.append(piece)
        return b"".join(pieces)

    def _announced(self) -> int:
        try:
            return int(self._headers.get("content-length", "0"))
        except ValueError:
            return 0

    def _require_fitting(self, size: int) -> None:
        if size > self._most:
            raise Refusal(
                "too-large",
                f"the body is larger than {self._most // _KILOBYTE:,} KB",
                fix="send less, or raise `http.body_kb`",
            )


def replayed(body: bytes, receive: Receive) -> Receive:
    """Hand out a body that was taken in already, then whatever else comes."""
    first = True

    async def next_message() -> Message:
        nonlocal first
        if first:
            first = False
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return next_message
