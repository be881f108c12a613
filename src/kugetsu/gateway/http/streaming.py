"""Clients that follow what happens, in one task or in all; each resumes exactly where it stopped.

A client has a cursor and no queue: what it has not taken is in the store, however slow it is. Nothing here is on the way
of the engine, which neither knows of clients nor waits for them.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from kugetsu.concurrency import first_error
from kugetsu.config import HttpSettings
from kugetsu.gateway.http.cursors import Cursor, FeedCursor, Reader, TaskCursor
from kugetsu.gateway.http.event_stream import EventStream, Followers, Seat
from kugetsu.gateway.http.problems import Refusal
from kugetsu.gateway.http.tail import RING_BYTES, Tail
from kugetsu.protocols import Store
from kugetsu.tasks import MOST_INTEGER

_NUMBER: Final = re.compile(r"[0-9]{1,19}")
_FLAGS: Final = {"": True, "true": True, "1": True, "false": False, "0": False}
_RETRY_SECONDS: Final = 5.0
_PARTING_SECONDS: Final = 1.0
_PARTING_LOOKS: Final = 100


class EventStreams:
    """Serves server-sent events to at most as many clients as the settings say.

    Args:
        store: where events and tasks are.
        settings: how many clients, and how slow one may be.
        budget: bytes of the latest events that are kept at hand, for all clients together.
    """

    def __init__(self, store: Store, settings: HttpSettings, *, budget: int = RING_BYTES) -> None:
        self._store = store
        self._settings = settings
        self._reader = Reader(store)
        self._tail = Tail(store, budget)
        self._followers = Followers()

    @property
    def count(self) -> int:
        """How many clients follow at present."""
        return self._followers.count

    @property
    def dropped(self) -> int:
        """How many clients were dropped because they took nothing."""
        return self._followers.dropped

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look for news while the block runs; at its end all clients are sent away."""
        with first_error():
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(self._tail.read())
                try:
                    yield
                finally:
                    await self.close()
                    reading.cancel()

    def wake(self) -> None:
        """Something happened: look at once, not only when it is time."""
        self._tail.wake()

    async def close(self) -> None:
        """Send all clients away, and take no more: they come again and go on where they were. May be called twice.

        Waits a moment for them to hear of it.
        """
        self._followers.closing = True
        for _ in range(_PARTING_LOOKS):
            self._tail.tell_all()
            if not self.count:
                break
            await asyncio.sleep(_PARTING_SECONDS / _PARTING_LOOKS)

    async def task(self, request: Request, task: str) -> Response:
        """The events of a task, until it is over or halts; with `follow=false` those that there are.

        Args:
            request: with `Last-Event-ID`, or `after` in its query, for a client that has some already.
            task: its id, a unique beginning of it, or its subject.

        Raises:
            TaskNotFoundError: there is none such.
            RecordError: what is kept cannot be read.
            Refusal: `bad-request`, `rate-limited` (too many clients follow already) or `stopping`.
        """
        with self._seat() as seat:
            after, follow = _after(request), _follow(request)
            found = await self._store.find(task)
            cursor = TaskCursor(self._reader, self._tail.ring, found.id, after or 0, follow=follow)
            return await self._stream(cursor, seat)

    async def everything(self, request: Request) -> Response:
        """The events of all tasks: from now on, or after the last one that the client has. Never ends by itself.

        Args:
            request: as for `task`.

        Raises:
            RecordError, Refusal: as for `task`.
        """
        with self._seat() as seat:
            after, last = _after(request), await self._store.last_event()
            # Who knows of more than there is knew another store.
            cursor = FeedCursor(self._reader, self._tail.ring, last if after is None else min(after, last))
            return await self._stream(cursor, seat)

    async def _stream(self, cursor: Cursor, seat: Seat) -> Response:
        first = await cursor.next()  # what cannot be read is told in place of the stream
        return EventStream(cursor, first, self._tail, seat, self._settings.stream_seconds)

    @contextmanager
    def _seat(self) -> Iterator[Seat]:
        """Let a client in; it leaves with its answer, or with the error in place of that."""
        if self._followers.closing:
            raise Refusal(
                "stopping", "the server is stopping", fix="try again when it is back", retry_after=_RETRY_SECONDS
            )
        if (count := self._followers.count) >= self._settings.streams:
            raise Refusal(
                "rate-limited",
                f"{count} clients follow events already, which is all there is room for",
                fix="try again later, or raise `http.streams`",
                retry_after=_RETRY_SECONDS,
            )
        seat = Seat(self._followers)
        try:
            yield seat
        except BaseException:
            seat.leave()
            raise


def _after(request: Request) -> int | None:
    """The number of the last event that the client has; None when it has none and said so by saying nothing.

    Raises:
        Refusal: `bad-request`: it is no number.
    """
    name, text = "Last-Event-ID", request.headers.get("last-event-id", "")
    if not text:
        name, text = "after", request.query_params.get("after", "")
    if not text:
        return None
    if not _NUMBER.fullmatch(text) or int(text) > MOST_INTEGER:
        raise Refusal("bad-request", f"`{name}` must be a number, got {text[:40]!a}", fix="use the `id` of an event")
    return int(text)


def _follow(request: Request) -> bool:
    text = request.query_params.get("follow", "")
    if (follow := _FLAGS.get(text)) is None:
        raise Refusal("bad-request", f"`follow` must be true or false, got {text[:40]!a}")
    return follow
