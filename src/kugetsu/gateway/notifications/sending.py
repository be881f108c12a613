"""One attempt to deliver news: a signed request, or a command that reads them."""

import asyncio
import hashlib
import hmac
import os
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from kugetsu import __version__
from kugetsu.config import Settings, TargetSettings
from kugetsu.errors import ConfigError
from kugetsu.gateway.notifications.addresses import AddressError, filled, origin
from kugetsu.gateway.notifications.answers import Answer, Attempt, judged
from kugetsu.gateway.notifications.payload import reply_to_of, with_delivery
from kugetsu.gateway.notifications.readiness import secret_of
from kugetsu.logs import Redactor, known_secrets
from kugetsu.processes import clean_environment, memory_file, open_output, start_command
from kugetsu.protocols import Clock, Delivery

if TYPE_CHECKING:
    import aiohttp

_MOST_ANSWER: Final = 4 * 1024
"""Bytes of an answer that are read."""

_ANSWER_SECONDS: Final = 2.0
"""How long they may take, once the status is there."""

_SHOWN: Final = 200
_KEEP_ALIVE_SECONDS: Final = 30.0
_DNS_SECONDS: Final = 60


def signed(body: bytes, secret: str, now: float) -> dict[str, str]:
    """The headers that prove where a body comes from, in both ways that Hermes takes; none without a secret."""
    if not secret:
        return {}
    stamp, key = str(int(now)), secret.encode("utf-8", "surrogateescape")  # a variable may hold any bytes
    fresh = hmac.new(key, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {
        "X-Webhook-Timestamp": stamp,
        "X-Webhook-Signature-V2": fresh,
        "X-Hub-Signature-256": f"sha256={hmac.new(key, body, hashlib.sha256).hexdigest()}",
    }


def request_id(delivery: Delivery) -> str:
    """Names an attempt: the same again after one that was cut off, a new one after each whose end is known.

    The task's id keeps those of several stores apart.
    """
    return f"{delivery.id}-{delivery.attempts}-{delivery.task}"


class Sender:
    """Makes attempts. An async context manager.

    Args:
        settings: who the targets are, and what is secret.
        environ: where secrets and the environment of commands come from.
        clock: the time that is signed.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str], clock: Clock) -> None:
        self._targets = settings.notify
        self._environ = environ
        self._clock = clock
        self._words = Redactor(known_secrets(settings, environ))
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, delivery: Delivery) -> Attempt:
        """Try to deliver. Raises nothing but `CancelledError`, after which nobody knows how it ended."""
        target = self._targets.get(delivery.target)
        if target is None:
            return Attempt(state="pending", said=f"no target {delivery.target} is set up here", unready=True)
        match target.kind:
            case "webhook":
                return await self._post(target, delivery)
            case "command":
                return await self._run(target, delivery)
            case "none":
                return Attempt(state="refused", said="the target is set to hear nothing")

    async def _post(self, target: TargetSettings, delivery: Delivery) -> Attempt:
        from aiohttp import ClientError  # noqa: PLC0415 - heavy, and `kugetsu notify list` needs none
        from aiohttp.http_exceptions import HttpProcessingError  # noqa: PLC0415 - as above

        try:
            url = filled(target.url, reply_to_of(delivery.payload))
            secret = secret_of(target, self._environ)
        except AddressError as error:
            return Attempt(state="refused", said=str(error))
        except ConfigError as error:
            return Attempt(state="pending", said=str(error), unready=True)
        body = with_delivery(delivery.payload, str(delivery.id))
        headers = {**_headers(delivery), **signed(body, secret, self._clock.now())}
        where = origin(target.url)
        try:
            async with asyncio.timeout(target.timeout_seconds):
                answer = await self._answer(url, body, headers)
        except TimeoutError:
            said = f"no answer from {where} within {target.timeout_seconds:g} seconds"
            return Attempt(state="pending", said=said, down=True)
        except (ClientError, HttpProcessingError, OSError, ValueError) as error:
            return Attempt(state="pending", said=f"{_reason(error)}: {where}", down=True)
        return judged(answer, delivery, self._clock.now())

    async def _answer(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        from yarl import URL  # noqa: PLC0415 - as above

        session = self._open_session()
        async with session.post(URL(url, encoded=True), data=body, headers=headers, allow_redirects=False) as response:
            content = await _beginning(response)
            shown = self._words.line(content.decode("utf-8", "replace"), _SHOWN)
            return Answer(response.status, response.headers.get("Retry-After", ""), content, shown)

    def _open_session(self) -> "aiohttp.ClientSession":
        if self._session is None:
            import aiohttp  # noqa: PLC0415 - as above

            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0, ttl_dns_cache=_DNS_SECONDS, keepalive_timeout=_KEEP_ALIVE_SECONDS
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                auto_decompress=False,
                trust_env=False,
            )
        return self._session

    async def _run(self, target: TargetSettings, delivery: Delivery) -> Attempt:
        program = self._words.line(target.command[0], _SHOWN)
        body = with_delivery(delivery.payload, str(delivery.id))
        try:
            code, complaint = await self._command(target, body)
        except TimeoutError:
            said = f"{program} took longer than {target.timeout_seconds:g} seconds"
            return Attempt(state="pending", said=said, down=True)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else None
            return Attempt(state="pending", said=f"{program} could not be started: {why or error}", down=True)
        if code == 0:
            return Attempt(state="delivered")
        shown = f": {self._words.line(complaint, _SHOWN)}" if complaint else ""
        return Attempt(state="pending", said=f"{program} ended with {code}{shown}")

    async def _command(self, target: TargetSettings, body: bytes) -> tuple[int, str]:
        """Run a command with the news on its stdin; its exit code and the last line of what it complained of.

        Raises:
            OSError: it could not be started.
            TimeoutError: it took too long; it and all it started has been ended.
        """
        environ = clean_environment(self._environ)
        place = Path(environ.get("HOME", "/"))
        with memory_file(body) as given, open_output(place, whole=False) as complaints:
            async with start_command(
                target.command,
                cwd=place if place.is_dir() else Path("/"),  # noqa: ASYNC240 - a look at one directory
                env=environ,
                stdout=subprocess.DEVNULL,
                stderr=complaints.write_end,
                stdin=given,
            ) as command:
                complaints.handed_over()
                code = await command.wait(target.timeout_seconds)
                if code is None:
                    raise TimeoutError
            complaints.finish()
            lines = complaints.end.decode("utf-8", "replace").split("\n")
            return code, next((line for line in reversed(lines) if line.strip()), "")


async def _beginning(response: "aiohttp.ClientResponse") -> bytes:
    """As much of an answer as matters; of one that breaks off or takes too long, what had come: the status says enough.

    What follows is left unread, and its connection closed.
    """
    from aiohttp import ClientError  # noqa: PLC0415 - as above
    from aiohttp.http_exceptions import HttpProcessingError  # noqa: PLC0415 - as above

    found = bytearray()
    with suppress(TimeoutError, ClientError, HttpProcessingError, OSError):
        async with asyncio.timeout(_ANSWER_SECONDS):
            while len(found) < _MOST_ANSWER and (piece := await response.content.read(_MOST_ANSWER)):
                found += piece
    return bytes(found[:_MOST_ANSWER])


def _headers(delivery: Delivery) -> dict[str, str]:
    return {
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        "User-Agent": f"kugetsu/{__version__}",
        "X-Kugetsu-Delivery": str(delivery.id),
        "X-Kugetsu-Event": delivery.event,
        "X-Request-ID": request_id(delivery),
    }


def _reason(error: Exception) -> str:
    """What the network did, without the address, of which most may be a secret."""
    import aiohttp  # noqa: PLC0415 - as above

    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return "TLS failed"
        case aiohttp.ClientConnectorDNSError():
            return "the name of the host is not known"
        case aiohttp.ClientConnectorError():
            return f"no connection ({os.strerror(error.os_error.errno) if error.os_error.errno else 'refused'})"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError() | ConnectionError():
            return "the connection broke off"
        case aiohttp.InvalidURL() | ValueError():
            return "the address cannot be used"
        case _:
            return "no proper HTTP answer"
