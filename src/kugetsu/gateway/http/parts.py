"""What the application is put together from, and the seams to what is mounted in it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from kugetsu.config import LogLevel, Settings
from kugetsu.gateway.asgi import AsgiApp
from kugetsu.protocols import Clock, Keyring, TaskService
from kugetsu.tasks import Limits


class Say(Protocol):
    """Takes what is to be written down, as `logs.Log.say`. Never blocks and never raises."""

    def __call__(self, event: str, sentence: str, *, level: LogLevel = "info", **fields: object) -> None:
        """Say something: its short name, a sentence for people, fields for programs."""
        ...


class Streams(Protocol):
    """The streams of events. Each method may raise what `TaskService` raises, as long as the answer has not begun."""

    async def task(self, request: Request, task: str) -> Response:
        """Follow one task."""
        ...

    async def everything(self, request: Request) -> Response:
        """Follow all tasks."""
        ...

    async def close(self) -> None:
        """End all streams, with a word to their clients. May be called twice."""
        ...


class HookAnswer(Protocol):
    """What a webhook is answered with."""

    @property
    def status(self) -> int:
        """Of the answer."""
        ...

    @property
    def body(self) -> object:
        """What is sent, as JSON."""
        ...


class Webhooks(Protocol):
    """Takes what a source tells."""

    async def __call__(self, source: str, headers: Mapping[str, str], body: bytes, client: str) -> HookAnswer:
        """Take one request.

        Args:
            source: its name in the address.
            headers: with names in small letters.
            body: as it was signed.
            client: address of the sender.

        Raises:
            AccessError: the signature is missing or wrong.
            TaskNotFoundError: there is no such source.
            KugetsuError: it cannot be done.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the application is put together from.

    Attributes:
        service: does what users ask for.
        settings: all settings; `http` and `limits` count here.
        keyring: the tokens.
        clock: time.
        say: the log.
        ready: returns when requests can be served.
            Raises `RecordError` when they cannot.
        streams: None for no streams.
        secret: the token of this start, see `tokens.passing_token`; empty for none.
        webhooks: None for no webhooks.
        mcp: an ASGI application, called as `/mcp`; None for none.
    """

    service: TaskService
    settings: Settings
    keyring: Keyring
    clock: Clock
    say: Say
    ready: Callable[[], Awaitable[object]]
    streams: Streams | None = None
    secret: str = ""
    webhooks: Webhooks | None = None
    mcp: AsgiApp | None = None

    @property
    def limits(self) -> Limits:
        """What nobody without the scope `admin` may widen."""
        return self.settings.limits
