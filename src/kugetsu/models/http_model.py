"""A model over HTTP: what both wires share. A wire adds how a request is written and how its events are read."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import msgspec

from kugetsu.errors import ModelError
from kugetsu.messages import Delta, ReplyEnd
from kugetsu.models.encoding import JsonObject
from kugetsu.models.http import Answer, Endpoint
from kugetsu.models.limiter import Limiter, Patience
from kugetsu.models.sse import EventParser, EventTooLargeError, ServerEvent
from kugetsu.protocols import ModelInfo, ModelRequest

_LEAST_WINDOW: Final = 2_048
"""Tokens; a smaller window is not assumed, only believed when the provider names it."""

_NOT_JSON: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)


class EventReader(Protocol):
    """Turns the events of one reply into deltas."""

    @property
    def complete(self) -> bool:
        """Whether the reply is whole, so that a connection that breaks now does no harm."""
        ...

    @property
    def finished(self) -> bool:
        """Whether nothing more is to come."""
        ...

    def read(self, name: bytes, data: bytes) -> Iterable[Delta]:
        """Take the next event.

        Raises:
            ModelError: it reports a failure, or makes no sense.
            msgspec.MsgspecError, UnicodeError, RecursionError: it is no JSON of the expected form.
        """
        ...

    def end(self) -> ReplyEnd:
        """Why a complete reply ended, and what it consumed."""
        ...


class HttpModel(ABC):
    """A model behind an HTTP endpoint. Implements `protocols.Model`; keeps no state of any conversation.

    Attributes:
        name: `provider/model`.
        info: what is known of it; its window is learned from calls that did not fit, for all who use it.
        limiter: of all calls of it.
    """

    def __init__(
        self, name: str, info: ModelInfo, endpoint: Endpoint, limiter: Limiter, *, fields: JsonObject, cap_field: str
    ) -> None:
        """Put together what both wires share.

        Args:
            name: see above.
            info: see above.
            endpoint: where it is called.
            limiter: see above.
            fields: of every request.
            cap_field: name of the one that says how long the reply may be.
        """
        self.name = name
        self.info = info
        self.limiter = limiter
        self._endpoint = endpoint
        self._fields = fields
        self._cap_field = cap_field

    @abstractmethod
    def _encoded(self, request: ModelRequest) -> bytes:
        """Write a request."""

    @abstractmethod
    def _reader(self) -> EventReader:
        """Make the reader of one reply."""

    def _fields_of(self, request: ModelRequest) -> JsonObject:
        """The fields of every request, with a shorter reply where one is asked for."""
        if request.max_output:
            return {**self._fields, self._cap_field: min(request.max_output, self.info.max_output)}
        return self._fields

    async def stream(self, request: ModelRequest, patience: Patience = Patience()) -> AsyncIterator[Delta]:  # noqa: B008 - immutable
        """Wait for a place, then ask for one reply, piece by piece; see `protocols.Model`.

        Args:
            request: what is asked.
            patience: how long the call may wait before it begins.

        Raises:
            ModelError: the call failed, or would have to wait longer.
        """
        reader, parser = self._reader(), EventParser()
        # The most that it can be is some times what it is, and would hold back all others for minutes.
        tokens = request.about_tokens or request.input_tokens
        with self._learning(request), await self.limiter.enter(tokens, patience) as call:
            async with self._endpoint.call(self._encoded(request)) as answer:
                while not reader.finished:
                    chunk = await self._next(answer, reader)
                    events = self._events(parser, chunk)
                    if events:
                        answer.heard()
                    for delta in self._deltas(reader, events):
                        yield delta
                    if events:
                        call.heard()  # only now: the first event may report a failure
                    if not chunk:
                        break
                if not reader.complete:
                    raise self._endpoint.reporter.failed("malformed", "it ended before it was complete")
                end = reader.end()
                call.ended(end.usage.tokens)
                yield end
                await answer.drain()

    @contextmanager
    def _learning(self, request: ModelRequest) -> Iterator[None]:
        """Remember how large the window is when a request does not fit: what the provider says, else less than was sent."""
        try:
            yield
        except ModelError as error:
            if error.kind == "context_overflow" and error.tells_of_window:
                believed = self.info.context_window
                assumed = max(_LEAST_WINDOW, request.about_tokens * 4 // 5) if request.about_tokens else believed
                window = min(believed, error.window or assumed)
                self.info = msgspec.structs.replace(self.info, context_window=window)
            raise

    async def _next(self, answer: Answer, reader: EventReader) -> bytes:
        """The next bytes; when the connection breaks after a complete reply, its end."""
        try:
            return await answer.read()
        except ModelError:
            if not reader.complete:
                raise
            return b""

    def _deltas(self, reader: EventReader, events: list[ServerEvent]) -> Iterable[Delta]:
        """The pieces that some events bring."""
        for name, data in events:
            if reader.finished:
                return
            if data:
                yield from self._read(reader, name, data)

    def _events(self, parser: EventParser, chunk: bytes) -> list[ServerEvent]:
        try:
            return parser.feed(chunk) if chunk else parser.flush()
        except EventTooLargeError as error:
            failure = self._endpoint.reporter.failed("malformed", str(error))
        raise failure

    def _read(self, reader: EventReader, name: bytes, data: bytes) -> Iterable[Delta]:
        try:
            return reader.read(name, data)
        except _NOT_JSON as error:
            # After a complete reply, only a stray rest can be wrong.
            if reader.complete:
                return ()
            why = "too deeply nested" if isinstance(error, RecursionError) else str(error)
        piece = data.decode("utf-8", "replace")
        raise self._endpoint.reporter.failed("malformed", f"{why}, in {piece}")
