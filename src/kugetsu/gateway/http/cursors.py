"""Where a client stands in what happens: it is given what comes next, from the ring where that has it, else from the store."""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from kugetsu.app.records import has_halted
from kugetsu.gateway.http.ring import EVERYTHING, Frame, Ring, within
from kugetsu.messages import encode_json
from kugetsu.protocols import Store
from kugetsu.tasks import TaskState

PIECE_BYTES: Final = 64 * 1024
"""What a client is given at once, unless a single event is larger."""

_MOST_EVENTS: Final = 200

_UNKNOWN: Final = -1


class Reader:
    """Reads pages of events from the store, for few clients at a time: the engine needs to read, too."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._room = asyncio.Semaphore(2)

    async def page(self, task: str, after: int, most: int) -> tuple[list[Frame], bool]:
        """The next events of a task, or of all; and whether there were more than a client is given at once.

        Raises:
            TaskNotFoundError: the task is gone.
            RecordError: they could not be read.
        """
        async with self._room:
            if task == EVERYTHING:
                found = await self._store.feed(after=after, most=most)
                frames = [Frame.of(numbered.event, numbered.number) for numbered in found]
            else:
                frames = [Frame.of(event) for event in await self._store.events(task, after=after, most=most)]
        given = within(frames, PIECE_BYTES)
        return given, len(given) < len(frames)

    async def state(self, task: str) -> tuple[TaskState, bool]:
        """Where a task stands, and whether nothing more happens in it unless somebody takes it up again.

        Raises:
            TaskNotFoundError: the task is gone.
            RecordError: it could not be read.
        """
        record = await self._store.find(task)
        return record.state, has_halted(record)


class Cursor(Protocol):
    """Where a client stands.

    Attributes:
        lane: the task whose events it gets; `EVERYTHING` for all.
        over: whether it has had everything there is for it.
    """

    lane: str
    over: bool

    async def next(self) -> bytes:
        """What comes next, empty when there is nothing now.

        Raises:
            TaskNotFoundError: the task is gone.
            RecordError: it could not be read.
        """
        ...

    def doubt(self) -> None:
        """Nothing has come for a while: look whether anything still will."""
        ...


class _Place:
    """How far a client has come, by its own count and, once that is known, by that of the ring."""

    def __init__(self, reader: Reader, ring: Ring, lane: str, after: int) -> None:
        self.last = after
        self._reader = reader
        self._ring = ring
        self._lane = lane
        self._most = _MOST_EVENTS
        self._known = _UNKNOWN  # everything up to this number was given
        self._promised = _UNKNOWN  # the same, once a page is empty

    def reread(self) -> None:
        """Go through the store once more: there may be what the ring has not got yet."""
        self._known = _UNKNOWN

    async def next(self) -> list[Frame]:
        while True:
            if self._known < self._ring.floor or self._known == _UNKNOWN:
                if frames := await self._page():
                    return self._given(frames)
                continue
            frames = self._ring.after(self._known, self._lane, PIECE_BYTES)
            if not frames:
                return []
            self._known = frames[-1].number
            if fresh := [frame for frame in frames if self._id(frame) > self.last]:
                return self._given(fresh)

    async def _page(self) -> list[Frame]:
        if self._promised == _UNKNOWN:
            self._promised = self._ring.last
        frames, cut = await self._reader.page(self._lane, self.last, self._most)
        if not frames:
            self._known, self._promised = self._promised, _UNKNOWN
        # Where events are large, few are asked for.
        self._most = len(frames) if cut else min(_MOST_EVENTS, 2 * self._most)
        return frames

    def _given(self, frames: Sequence[Frame]) -> list[Frame]:
        self.last = self._id(frames[-1])
        return list(frames)

    def _id(self, frame: Frame) -> int:
        return frame.number if self._lane == EVERYTHING else frame.seq


class FeedCursor:
    """Where a client stands in the events of all tasks. Implements `Cursor`.

    Args:
        reader: of the store.
        ring: the latest events.
        after: number of the last event that the client has.
    """

    lane = EVERYTHING
    over = False

    def __init__(self, reader: Reader, ring: Ring, after: int) -> None:
        self._place = _Place(reader, ring, EVERYTHING, after)
        # No event: it tells the client from where to go on, even if it is cut off before anything happens.
        self._first = b"id: %d\n\n" % after

    async def next(self) -> bytes:
        """What comes next; see `Cursor`."""
        first, self._first = self._first, b""
        return first + b"".join(b"id: %d\n%s" % (frame.number, frame.text) for frame in await self._place.next())

    def doubt(self) -> None:
        """There is always more to come."""


class TaskCursor:
    """Where a client stands in the events of a task. Implements `Cursor`.

    Args:
        reader: of the store.
        ring: the latest events.
        task: id of the task.
        after: number, in the task, of the last event that the client has.
        follow: go on until the task is over or halts; else only what there is.
    """

    def __init__(self, reader: Reader, ring: Ring, task: str, after: int, *, follow: bool) -> None:
        self.lane = task
        self.over = False
        self._follow = follow
        self._place = _Place(reader, ring, task, after)
        self._reader = reader
        self._doubtful = True
        self._end: TaskState | None = None

    async def next(self) -> bytes:
        """What comes next; see `Cursor`."""
        frames = await self._place.next()
        if not frames and self._end is None and self._doubtful:
            self._doubtful = False
            state, halted = await self._reader.state(self.lane)
            if halted or not self._follow:
                # Whatever belongs to this state is in the store, if not yet in the ring.
                self._end = state
                self._place.reread()
                frames = await self._place.next()
        self._doubtful = self._doubtful or any(frame.moves for frame in frames)
        if not frames and self._end is not None:
            self.over = True
            return b"event: end\ndata: %s\n\n" % encode_json({"state": self._end})
        return b"".join(b"id: %d\n%s" % (frame.seq, frame.text) for frame in frames)

    def doubt(self) -> None:
        """Look whether the task is over or halts."""
        self._doubtful = True
