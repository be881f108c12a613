"""One request on its way through the application, and what it is answered with."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple

from kugetsu.errors import RecordError
from kugetsu.gateway.asgi import AsgiApp, AsgiScope, Caller, Receive, Send
from kugetsu.gateway.http.access import FRESH_SECONDS, Access
from kugetsu.gateway.http.bodies import Body, Room
from kugetsu.gateway.http.metrics import Metrics
from kugetsu.gateway.http.parts import Parts
from kugetsu.gateway.http.problems import MEDIA, Header, Refusal, problem_of
from kugetsu.messages import encode_json

JSON: Final = "application/json"


class Answer(NamedTuple):
    """What a request is answered with, in whole.

    Attributes:
        media: its kind.
        headers: beside those that all answers have.
    """

    body: bytes
    status: int = 200
    media: str = JSON
    headers: tuple[Header, ...] = ()

    async def send(self, send: Send, *, close: bool = False) -> None:
        """Send it.

        Args:
            send: of the ASGI server.
            close: end the connection after it.
        """
        headers = [(b"content-type", self.media.encode()), (b"content-length", b"%d" % len(self.body)), *self.headers]
        if close:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


class Inside:
    """What the application keeps for all requests.

    Args:
        parts: what it is put together from.
        describe: makes the OpenAPI document.

    Attributes:
        access: who may do what.
        metrics: figures.
        strangers: room for bodies of those who have no token.
        stopping: whether the program is about to end.
        closed: whether nothing new is taken.
    """

    def __init__(self, parts: Parts, describe: Callable[[], bytes]) -> None:
        self.parts = parts
        self.access = Access(parts.keyring, parts.settings.http, parts.clock, parts.secret)
        self.metrics = Metrics()
        self.strangers = Room(parts.settings.http.body_kb)
        self.stopping = False
        self.closed = False
        self._describe = describe
        self._looking = asyncio.Lock()
        self._looked_at = float("-inf")
        self._unready = ""

    @cached_property
    def document(self) -> bytes:
        """The OpenAPI document."""
        return self._describe()

    async def require_ready(self) -> None:
        """Look whether requests can be served; what was found is believed for a second, however many ask meanwhile.

        Raises:
            Refusal: `stopping`.
            RecordError: they cannot, because of the store.
        """
        if self.stopping:
            raise Refusal("stopping", "the server is stopping")
        async with self._looking:
            if self.parts.clock.monotonic() - self._looked_at >= FRESH_SECONDS:
                self._unready = await self._why_unready()
                self._looked_at = self.parts.clock.monotonic()
        if self._unready:
            raise RecordError(self._unready)

    async def _why_unready(self) -> str:
        """What is wrong with the store; empty for nothing."""
        try:
            await self.parts.ready()
        except RecordError as error:
            return error.message
        return ""


@dataclass(slots=True)
class Call:
    """One request.

    Attributes:
        inside: what the application keeps.
        scope: as the ASGI server says.
        receive: of the ASGI server.
        headers: by their names in small letters; of one that is there twice the last.
        address: where it comes from.
        named: what the path names: a task, or a source.
        caller: who sends it; None where that does not matter.
    """

    inside: Inside
    scope: AsgiScope
    receive: Receive
    headers: Mapping[str, str]
    address: str
    named: str = ""
    caller: Caller | None = None
    body: Body = field(init=False)

    def __post_init__(self) -> None:
        self.body = Body(self.receive, self.headers, self.parts.settings.http.body_kb)

    @property
    def parts(self) -> Parts:
        """What the application is put together from."""
        return self.inside.parts

    @property
    def is_admin(self) -> bool:
        """Whether the caller may go beyond what the settings say."""
        return self.caller is not None and self.caller.may("admin")


Reply = Answer | AsgiApp
"""What a request is answered with: in whole, or by an application that sends as it goes."""


def as_json(value: object, status: int = 200, headers: tuple[Header, ...] = ()) -> Answer:
    """Answer with a struct, or whatever else there is, as JSON."""
    return Answer(encode_json(value), status, JSON, headers)


def as_problem(error: Exception) -> Answer:
    """Answer with an error."""
    problem, headers = problem_of(error)
    return Answer(encode_json(problem), problem.status, MEDIA, headers)
