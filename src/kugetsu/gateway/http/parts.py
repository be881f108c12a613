"""What the application is put together from, and the seams to what is mounted in it."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from kugetsu.config import LogLevel, Settings
from kugetsu.protocols import Clock, Keyring, Scope, TaskService
from kugetsu.tasks import Limits

AsgiScope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[AsgiScope, Receive, Send], Awaitable[None]]

CALLER: Final = "kugetsu.caller"
"""Where in an ASGI scope the `Caller` stands."""

COUNTS: Final = "kugetsu.counts"
"""Where in the ASGI scope of a stream it can be asked whether its caller may go on; not there for one that always may."""


class Caller(msgspec.Struct, frozen=True):
    """Who sends a request.

    Attributes:
        name: of the token; `local` for a program on this machine without one, `serve` for one with the token of this start.
        scopes: what it may do.
        address: where it comes from.
        token: id of the token; empty for none.
    """

    name: str
    scopes: frozenset[Scope]
    address: str
    token: str = ""

    def may(self, scope: Scope) -> bool:
        """Whether it may do this; who has `admin` may do everything."""
        return scope in self.scopes or "admin" in self.scopes


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
