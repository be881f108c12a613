"""Connections with deadlines: none is held for ever by a client that says nothing, or that takes nothing."""

import asyncio
from typing import Final, cast

import h11
from uvicorn.protocols.http.h11_impl import RequestResponseCycle

from kugetsu.gateway.http.connections import BreakableProtocol
from kugetsu.gateway.http.problems import MEDIA, Refusal, problem_of
from kugetsu.messages import encode_json

HEAD_SECONDS: Final = 10.0
"""A request's line and headers must be there within this time, from the beginning of the connection or of the request."""

TAKE_SECONDS: Final = 10.0
"""How often it is looked whether a client takes what it asked for."""

_LEAST_TAKEN: Final = 4_096
"""Bytes that a client must have taken between two looks while much waits for it."""

_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 5\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%s"
)


class Connections(BreakableProtocol):
    """One connection. What comes too slowly, and what is taken too slowly, ends it.

    Attributes:
        most: so many at once; one more is told to come back.
    """

    most = 2_000

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Begin; the head of a request must follow soon."""
        self._head: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None
        self._waiting = 0
        super().connection_made(transport)
        if len(self.connections) > self.most:
            self.connections.discard(self)
            problem, _ = problem_of(Refusal("stopping", "there are too many connections", retry_after=5.0))
            body = encode_json(problem)
            transport.write(_FULL % (len(body), body))
            transport.close()
            return
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._forget_head()
        self._forget_look()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came. While it is no whole head, its time goes on: also while it is what nobody reads any more."""
        super().data_received(data)
        if self._idle:
            self._expect_head()
        else:
            self._forget_head()

    def on_response_complete(self) -> None:
        """The answer is written, which does not say that it is taken."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch_leaving()

    def timeout_keep_alive_handler(self) -> None:
        """Nothing more was asked for."""
        super().timeout_keep_alive_handler()
        self._watch_leaving()

    def pause_writing(self) -> None:
        """Much waits to be taken."""
        super().pause_writing()
        self._waiting = self.transport.get_write_buffer_size()
        self._forget_look()
        self._look = self.loop.call_later(TAKE_SECONDS, self._look_after_taker)

    def resume_writing(self) -> None:
        """It was taken."""
        super().resume_writing()
        if not self.transport.is_closing():
            self._forget_look()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, or more of a head than there is room for."""
        problem, _ = problem_of(Refusal("bad-request", msg))
        headers = [(b"content-type", MEDIA.encode()), (b"connection", b"close")]
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            head = h11.Response(status_code=problem.status, headers=headers, reason=b"Bad Request")
            body = h11.Data(data=encode_json(problem))
            self.transport.write(self.conn.send(head) + self.conn.send(body) + self.conn.send(h11.EndOfMessage()))
        self.transport.close()
        self._watch_leaving()

    @property
    def _idle(self) -> bool:
        """Whether no request is being answered."""
        cycle = cast("RequestResponseCycle | None", self.cycle)  # uvicorn says that it is always there
        return cycle is None or cycle.response_complete

    def _expect_head(self) -> None:
        if self._head is None:
            self._head = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _forget_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _give_up(self) -> None:
        self._head = None
        if self._idle and not self.transport.is_closing():
            self.transport.abort()

    def _forget_look(self) -> None:
        if self._look is not None:
            self._look.cancel()
            self._look = None

    def _look_after_taker(self) -> None:
        """A client that took next to nothing since the last look is dropped."""
        self._look = None
        waiting = self.transport.get_write_buffer_size()
        if waiting and waiting > self._waiting - _LEAST_TAKEN:
            self.transport.abort()
        elif waiting:
            self._waiting = waiting
            self._look = self.loop.call_later(TAKE_SECONDS, self._look_after_taker)

    def _watch_leaving(self) -> None:
        """The connection is closed once all is taken; whoever does not take it has little time."""
        if self._look is None and self.transport.get_write_buffer_size():
            self._waiting = self.transport.get_write_buffer_size()
            self._look = self.loop.call_later(TAKE_SECONDS, self._look_after_taker)
