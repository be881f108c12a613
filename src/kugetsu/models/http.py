"""The way to providers: one pool of connections for all models, and one streamed call over it."""

import asyncio
import io
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from typing import Final

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from kugetsu.errors import ModelError
from kugetsu.models.reporter import Reporter

CONNECT_SECONDS: Final = 30.0
"""For name, connection and TLS together; generous, because hundreds of calls may begin at once."""

_KEEP_ALIVE_SECONDS: Final = 30.0
_DNS_SECONDS: Final = 300
_REPLY_LIMIT: Final = 64 * 1024 * 1024
_ERROR_BODY_LIMIT: Final = 64 * 1024
_ERROR_BODY_SECONDS: Final = 5.0
_COPIED_AT_ONCE: Final = 2**20
_DRAIN_SECONDS: Final = 1.0

_COMMENTS_AT_MOST: Final = 10
"""Times the longest silence that comments may fill: OpenRouter sends them while a model is queued, for minutes."""

_CLOSED: Final = "this program has closed its connections"

_BROKEN: Final = (aiohttp.ClientError, HttpProcessingError, OSError)
"""Everything the network does to a call; `TimeoutError` is an `OSError`."""


class Connections:
    """One pool for all providers, made when it is first needed.

    Attributes:
        closed: whether it was closed; no call can be made any more.
    """

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._breakers: set[Callable[[], None]] = set()
        self.closed = False

    def session(self) -> aiohttp.ClientSession:
        """The shared session. Must be called inside the event loop."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0, ttl_dns_cache=_DNS_SECONDS, keepalive_timeout=_KEEP_ALIVE_SECONDS
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    @contextmanager
    def break_by(self, breaker: Callable[[], None]) -> Iterator[None]:
        """Have `breaker` called if the connections are closed meanwhile: aiohttp lets those who wait wait for ever."""
        self._breakers.add(breaker)
        try:
            yield
        finally:
            self._breakers.discard(breaker)

    async def close(self) -> None:
        """Close every connection; calls under way fail as `network`. May be called twice."""
        self.closed = True
        for breaker in tuple(self._breakers):
            breaker()
        if self._session is not None:
            await self._session.close()


class Endpoint:
    """Where one model is called.

    Args:
        connections: the shared pool.
        url: of the call.
        headers: of every call, the key among them.
        idle_seconds: longest silence before a call counts as stalled. Comments may fill ten times as much.
        reporter: makes the errors.

    Errors are raised outside the handlers of what caused them: those causes carry the request, and with it the key.
    """

    def __init__(
        self, connections: Connections, url: str, headers: Mapping[str, str], idle_seconds: float, reporter: Reporter
    ) -> None:
        self.reporter = reporter
        self._connections = connections
        self._url = URL(url)
        self._headers = dict(headers)
        self._idle_seconds = idle_seconds
        self._timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS, sock_read=idle_seconds)

    @asynccontextmanager
    async def call(self, body: bytes) -> "AsyncIterator[Answer]":
        """Send a request and wait for the beginning of its streamed reply.

        Raises:
            ModelError: there is none.
        """
        response = await self._send(body)
        closed = aiohttp.ClientConnectionError("closed")
        try:
            with self._connections.break_by(lambda: response.content.set_exception(closed)):
                await self._check(response)
                yield Answer(self, response)
        except BaseException:
            response.close()
            raise
        # Gives the connection back if the reply was read to its end, else closes it.
        response.release()

    def failure(self, error: Exception) -> ModelError:
        """Tell what the network did to a call."""
        failed = self.reporter.failed
        if self._connections.closed:
            return failed("network", _CLOSED)
        match error:
            case aiohttp.ConnectionTimeoutError():
                return failed("network", f"no connection within {CONNECT_SECONDS:g} seconds")
            case TimeoutError():
                return failed("stall", f"no bytes for {self._idle_seconds:g} seconds")
            case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
                return failed("network", f"TLS failed: {error}", fix="the provider's certificate must be valid")
            case aiohttp.ClientConnectorDNSError():
                return failed("network", str(error), fix=f"check the address {self._url} and this machine's network")
            case aiohttp.ClientConnectorError():
                return failed("network", str(error), fix=f"is the server at {self._url} running?")
            case aiohttp.ClientResponseError() | HttpProcessingError():
                return failed("malformed", f"no proper HTTP: {error.message}")
            case aiohttp.ClientPayloadError():
                return failed("network", f"the reply broke off: {error}")
            case _:
                return failed("network", str(error) or type(error).__name__)

    def waited(self, seconds: float) -> ModelError | None:
        """The failure of a call that has waited this long for an event, although bytes came; None while it may wait."""
        longest = _COMMENTS_AT_MOST * self._idle_seconds
        return self.reporter.failed("stall", f"no event for {longest:g} seconds") if seconds > longest else None

    async def _send(self, body: bytes) -> aiohttp.ClientResponse:
        if self._connections.closed:
            raise self.reporter.failed("network", _CLOSED)
        # aiohttp warns of large bytes, which it would hand over in one go.
        data = body if len(body) < _COPIED_AT_ONCE else io.BytesIO(body)
        try:
            # The timeout of reading does not cover a server that takes no more of the request.
            async with asyncio.timeout(CONNECT_SECONDS + 2 * self._idle_seconds) as limit:
                with self._connections.break_by(lambda: None if limit.expired() else limit.reschedule(0)):
                    return await self._connections.session().post(
                        self._url, data=data, headers=self._headers, timeout=self._timeout, allow_redirects=False
                    )
        except _BROKEN as error:
            failure = self.failure(error)
        raise failure

    async def _check(self, response: aiohttp.ClientResponse) -> None:
        """Raise unless this is the beginning of a streamed reply."""
        status, kind = response.status, response.content_type
        if status < HTTPStatus.MULTIPLE_CHOICES and kind not in {"application/json", "text/html"}:
            return
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            what = f"redirected to {response.headers.get('Location', 'nowhere')}"
            raise self.reporter.failed("bad_request", what, fix="correct the base_url", status=status)
        body = await _error_body(response)
        if status < HTTPStatus.BAD_REQUEST:
            raise self.reporter.unstreamed(status, kind, body)
        headers = {name.lower(): value for name, value in response.headers.items()}
        raise self.reporter.answered(status, headers, body)


class Answer:
    """A reply that is being streamed."""

    def __init__(self, endpoint: Endpoint, response: aiohttp.ClientResponse) -> None:
        self._endpoint = endpoint
        self._content = response.content
        self._response = response
        self._received = 0
        self._waited = 0.0

    async def read(self) -> bytes:
        """The next bytes, empty at the end.

        Raises:
            ModelError: the connection broke or fell silent, or the reply is absurdly large.
        """
        # Only the time spent in here counts: whoever reads may take as long as it likes over an event.
        asked = time.monotonic()
        try:
            chunk = await self._content.readany()
        except _BROKEN as error:
            failure = self._endpoint.failure(error)
        else:
            self._waited += time.monotonic() - asked
            too_much = self._too_large(len(chunk)) or self._endpoint.waited(self._waited)
            if too_much is None:
                return chunk
            failure = too_much
        raise failure

    def heard(self) -> None:
        """Note that the bytes read last completed an event, and were more than comments."""
        self._waited = 0.0

    def _too_large(self, size: int) -> ModelError | None:
        self._received += size
        if self._received <= _REPLY_LIMIT:
            return None
        return self._endpoint.reporter.failed("malformed", f"the reply is larger than {_REPLY_LIMIT:,} bytes")

    async def drain(self) -> None:
        """Wait a moment for the end of a reply whose last event has come, so that its connection can be used again."""
        if self._content.at_eof():
            return
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while await self._content.readany():
                    pass
        except _BROKEN:
            self._response.close()


async def _error_body(response: aiohttp.ClientResponse) -> bytes:
    """As much of an error's body as matters; of one that breaks off or takes too long, what had come."""
    body = bytearray()
    try:
        async with asyncio.timeout(_ERROR_BODY_SECONDS):
            while len(body) < _ERROR_BODY_LIMIT and (chunk := await response.content.readany()):
                body += chunk
    except _BROKEN:
        # The status alone says enough.
        return bytes(body)
    return bytes(body[:_ERROR_BODY_LIMIT])
