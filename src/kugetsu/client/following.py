"""Streams of events that go on after a broken connection or a restart of the server; each event comes once."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, NamedTuple

import msgspec

from kugetsu.client.refusals import UnavailableError, UnreachableError
from kugetsu.client.transport import Request, Transport
from kugetsu.errors import AccessError, KugetsuError, QueueFullError, RecordError, ServerError
from kugetsu.events import Event, decode_event

_FIRST_WAIT: Final = 0.1
_LONGEST_WAIT: Final = 5.0
_SURE_TRIES: Final = 3

_PASSING: Final = (UnreachableError, UnavailableError, QueueFullError, RecordError)
"""What may be over when it is tried again; once a stream has begun, for as long as there is patience."""


class Heard(NamedTuple):
    """An event, and its place in the stream."""

    number: int
    event: Event


class _End(msgspec.Struct, frozen=True):
    """What the last word of a stream says.

    Attributes:
        reason: why the stream ends although there is more to come; empty when there is not.
    """

    reason: str = ""


class Follower:
    """Reads one stream, however often it has to be begun again.

    Args:
        transport: the way to the server.
        request: for the stream.
        last: number of the last event that is known already; None when none is, and what happens from now on is wanted.
        patience: how long a server that is gone is waited for, in seconds.
    """

    def __init__(self, transport: Transport, request: Request, last: int | None, patience: float) -> None:
        self._transport = transport
        self._request = request
        self._last = last
        self._patience = patience
        self._over = False
        self._begun = False
        self._tries = 0
        self._troubled_at = 0.0

    async def events(self) -> AsyncGenerator[Heard, None]:
        """What comes, until the stream is over.

        Raises:
            KugetsuError: what the server refuses it with, or it did not come back.
        """
        while True:
            failure: KugetsuError
            try:
                async with aclosing(self._read()) as heard:
                    async for event in heard:
                        yield event
                if self._over:
                    return
                failure = UnreachableError(f"the server at {self._transport.url} ended the stream", sent=True)
            except (*_PASSING, AccessError) as error:
                failure = error
            await self._bear(failure)

    async def _read(self) -> AsyncGenerator[Heard, None]:
        """What comes over one connection."""
        headers = {} if self._last is None else {"Last-Event-ID": str(self._last)}
        async with self._transport.stream(self._request, headers) as events:
            self._begun, self._tries = True, 0
            async for id_, name, data in events:
                if name == "end":
                    self._over = not _reason(data)
                    return
                number = _number(id_, self._transport.url)
                if not data:  # from where to go on, if nothing ever comes
                    self._last = number
                elif self._last is None or number > self._last:
                    self._last = number
                    yield Heard(number, _event(data, self._transport.url))

    async def _bear(self, failure: KugetsuError) -> None:
        """Wait until it is worth another try.

        Raises:
            KugetsuError: the failure, when it is not.
        """
        moved = self._transport.look()
        if isinstance(failure, AccessError) and not moved:
            raise failure
        self._tries += 1
        if self._tries == 1:
            self._troubled_at = time.monotonic()
        # A server that never answered is not waited for; a request that just missed a restart is tried again.
        patience = self._patience if self._begun else 0.0
        lasting = isinstance(failure, UnreachableError) and not failure.passing and not self._begun
        if lasting or (self._tries > _SURE_TRIES and time.monotonic() - self._troubled_at > patience):
            raise failure
        wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (self._tries - 1))
        if isinstance(failure, QueueFullError):
            if not self._begun:
                raise failure
            wait = max(wait, failure.retry_after)
        if not moved:
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - so that not all come at once


def _reason(data: bytes) -> str:
    try:
        return msgspec.json.decode(data, type=_End).reason
    except (msgspec.MsgspecError, UnicodeError):
        return ""


def _number(id_: str, url: str) -> int:
    if not (id_.isascii() and id_.isdecimal()):
        raise ServerError(f"the server at {url} sends an event with the number {id_[:40]!a}")
    return int(id_)


def _event(data: bytes, url: str) -> Event:
    try:
        return decode_event(data)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise ServerError(
            f"the server at {url} sends an event that is none: {error}", fix="are both of the same version?"
        ) from error
