"""Requests to a server: sent, repeated where that is safe, and their answers read within bounds."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec

from kugetsu.client.addresses import Address, Finder
from kugetsu.client.refusals import UnreachableError, refusal
from kugetsu.client.sse import EventParser, EventTooLargeError, ServerEvent
from kugetsu.errors import AccessError, KugetsuError, ServerError

if TYPE_CHECKING:
    import aiohttp

_WAITS: Final = (0.1, 0.3, 0.6)
"""Seconds before each repetition of a request that did not get through."""

_ANSWER_BYTES: Final = 256 * 2**20
_PROBLEM_BYTES: Final = 64 * 1024

_KEEP_ALIVE_SECONDS: Final = 4.0
"""How long an idle connection is used again: less than any server leaves it open, so that no request meets its end."""

_SILENCE_SECONDS: Final = 45.0
"""A stream that says nothing for so long is broken: a server says something every 15 seconds."""

_JSON: Final = "application/json"
_EVENTS: Final = "text/event-stream"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a server.

    Attributes:
        path: below the server's address, encoded.
        query: encoded, empty for none.
        body: JSON, empty for none.
        repeatable: whether it may be sent again when nobody knows what became of it.
    """

    method: str = "GET"
    path: str
    query: str = ""
    body: bytes = b""
    repeatable: bool = True


class Transport:
    """The way to a server.

    Args:
        finder: knows where it is.
        timeout: seconds for an answer.

    Errors are raised outside the handlers of what caused them: those causes carry the request, and with it the token.
    """

    def __init__(self, finder: Finder, timeout: float) -> None:
        self._finder = finder
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    @property
    def url(self) -> str:
        """Where the server is, as far as is known."""
        return self._finder.address.url

    async def close(self) -> None:
        """Close every connection. May be called twice."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    async def ask(self, request: Request) -> tuple[int, bytes]:
        """Send a request; the status and the body of its answer.

        Raises:
            KugetsuError: what the server refuses it with.
            UnreachableError: it does not answer.
        """
        waits = iter(_WAITS)
        while True:
            failure: KugetsuError
            try:
                return await self._ask_once(request)
            except UnreachableError as error:
                failure = error
                if not error.passing or (error.sent and not request.repeatable):
                    raise
            except AccessError as error:
                failure = error
            # A server that was started again has another token, and may be elsewhere.
            if self._finder.look():
                continue
            if isinstance(failure, AccessError) or (wait := next(waits, None)) is None:
                raise failure
            await asyncio.sleep(wait)

    @asynccontextmanager
    async def stream(
        self, request: Request, headers: Mapping[str, str]
    ) -> AsyncIterator[AsyncGenerator[ServerEvent, None]]:
        """Send a request whose answer is a stream of events.

        Raises:
            KugetsuError: what the server refuses it with.
            UnreachableError: it does not answer; or, while events are read, the stream broke.
        """
        address = self._finder.address
        async with self._in_time(address):
            response = await self._send(address, request, {"Accept": _EVENTS, **headers}, silence=_SILENCE_SECONDS)
            try:
                await self._require(address, response, _EVENTS)
            except BaseException:
                response.close()
                raise
        try:
            async with aclosing(self._events(address, response)) as events:
                yield events
        finally:
            response.close()

    def look(self) -> bool:
        """Whether the server is somewhere else now."""
        return self._finder.look()

    async def _ask_once(self, request: Request) -> tuple[int, bytes]:
        address = self._finder.address
        async with self._in_time(address):
            response = await self._send(address, request, {"Accept": _JSON}, silence=None)
            failure: KugetsuError
            try:
                await self._require(address, response, _JSON)
                return response.status, await _read(response, _ANSWER_BYTES)
            except _broken() as error:
                failure = _failure(error, address)
            except ValueError:
                failure = ServerError(f"the answer of {address.url} is larger than {_ANSWER_BYTES:,} bytes")
            finally:
                response.release()  # one that was not read to its end is closed
            raise failure

    @asynccontextmanager
    async def _in_time(self, address: Address) -> AsyncIterator[None]:
        """Give the server its time to answer, and no more."""
        try:
            async with asyncio.timeout(self._timeout):
                yield
                return
        except TimeoutError:
            failure = UnreachableError(
                f"the server at {address.url} did not answer within {self._timeout:g} seconds",
                fix="what was asked for may be done all the same; look before you ask again",
                sent=True,
                passing=False,
            )
        raise failure

    async def _send(
        self, address: Address, request: Request, headers: Mapping[str, str], *, silence: float | None
    ) -> "aiohttp.ClientResponse":
        """Send a request and wait for the head of its answer."""
        import aiohttp  # noqa: PLC0415 - takes long to import
        from yarl import URL  # noqa: PLC0415 - as above

        if self._closed:
            raise ServerError("this client is closed", fix="make another one")
        sent = {**headers, "Accept-Encoding": "identity"}
        if request.body:
            sent["Content-Type"] = _JSON
        if address.token:
            sent["Authorization"] = f"Bearer {address.token}"
        url = f"{address.url}{request.path}" + (f"?{request.query}" if request.query else "")
        timeout = aiohttp.ClientTimeout(total=None, sock_read=silence)
        failure: KugetsuError
        try:
            return await self._open().request(
                request.method,
                URL(url, encoded=True),
                data=request.body or None,
                headers=sent,
                allow_redirects=False,
                timeout=timeout,
            )
        except _broken() as error:
            failure = _failure(error, address)
        raise failure

    def _open(self) -> "aiohttp.ClientSession":
        import aiohttp  # noqa: PLC0415 - takes long to import

        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    async def _require(self, address: Address, response: "aiohttp.ClientResponse", kind: str) -> None:
        """Raise unless this is the answer that was asked for."""
        if response.status >= HTTPStatus.MULTIPLE_CHOICES:
            body = b""  # the status alone says enough
            with suppress(*_broken(), ValueError):
                body = await _read(response, _PROBLEM_BYTES)
            raise refusal(response.status, body, address.url)
        if response.content_type != kind:
            raise ServerError(
                f"the server at {address.url} answers with {response.content_type[:100]!a}", fix="is it one of Kugetsu?"
            )

    async def _events(self, address: Address, response: "aiohttp.ClientResponse") -> AsyncGenerator[ServerEvent, None]:
        """What comes, until the end of the stream."""
        parser = EventParser()
        while True:
            failure: ServerError
            try:
                chunk = await response.content.readany()
                events = parser.feed(chunk)
            except _broken() as error:
                failure = _failure(error, address)
            except EventTooLargeError as error:
                failure = ServerError(f"the server at {address.url}: {error}")
            else:
                if not chunk:
                    return
                for event in events:
                    yield event
                continue
            raise failure


async def _read(response: "aiohttp.ClientResponse", limit: int) -> bytes:
    """Read a body.

    Raises:
        ValueError: it is larger than the limit.
    """
    body = bytearray()
    while chunk := await response.content.readany():
        body += chunk
        if len(body) > limit:
            raise ValueError(limit)
    return bytes(body)


def _broken() -> tuple[type[Exception], ...]:
    """Everything the network does to a request."""
    import aiohttp  # noqa: PLC0415 - takes long to import
    from aiohttp.http_exceptions import HttpProcessingError  # noqa: PLC0415 - as above

    return aiohttp.ClientError, HttpProcessingError, OSError


def _failure(error: Exception, address: Address) -> ServerError:
    """Tell what the network did to a request."""
    import aiohttp  # noqa: PLC0415 - takes long to import

    fix = "is `kugetsu serve` running there?"
    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return UnreachableError(
                f"TLS with {address.url} failed", fix="its certificate must be valid", sent=False, passing=False
            )
        case aiohttp.ClientConnectorDNSError():
            return UnreachableError(f"nobody knows {address.url}", fix="check the address", sent=False, passing=False)
        case aiohttp.ClientConnectorError():
            reason = error.os_error.strerror or "no connection"
            return UnreachableError(f"no server answers at {address.url}: {reason}", fix=fix, sent=False)
        case TimeoutError():
            return UnreachableError(f"the server at {address.url} has fallen silent", fix=fix, sent=True)
        case _:
            return UnreachableError(f"the connection to {address.url} broke", fix=fix, sent=True)


def as_kind(body: bytes, kind: Any, url: str) -> Any:  # noqa: ANN401 - whatever the kind is
    """Read an answer.

    Raises:
        ServerError: it is not of this kind.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ServerError(
            f"the server at {url} answers with something else: {error}", fix="are both of the same version?"
        ) from error
