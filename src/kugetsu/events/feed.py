"""The way events go: a feed that stamps them, and subscriptions that never hold it up."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

import msgspec

from kugetsu.events.union import Event, EventsDropped

EventSink = Callable[[Event], None]
"""Takes an event at once; must not raise and must not block."""


class Subscription:
    """A bounded queue of events for one reader. When the reader is too slow the oldest are dropped and counted."""

    def __init__(self, limit: int) -> None:
        self._queue: deque[Event] = deque()
        self._limit = limit
        self._dropped = 0
        self._closed = False
        self._news = asyncio.Event()

    def put(self, event: Event) -> None:
        """Queue an event; never blocks."""
        if len(self._queue) >= self._limit:
            self._queue.popleft()
            self._dropped += 1
        self._queue.append(event)
        self._news.set()

    def close(self) -> None:
        """No more events will come; the reader still gets those that are queued."""
        self._closed = True
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[Event]:
        while True:
            while self._queue:
                if self._dropped:
                    first = self._queue[0]
                    count, self._dropped = self._dropped, 0
                    yield EventsDropped(task=first.task, seq=first.seq, at=first.at, count=count)
                yield self._queue.popleft()
            if self._closed:
                return
            self._news.clear()
            await self._news.wait()


class Feed:
    """Stamps the events of one task and hands them to sinks and subscriptions.

    Attributes:
        seq: number of the last event.
        closed: whether nothing is passed on any more.
    """

    def __init__(self, task: str, now: Callable[[], float]) -> None:
        self._task = task
        self._now = now
        self.seq = 0
        self._sinks: list[EventSink] = []
        self._subscriptions: list[Subscription] = []
        self.closed = False

    def publish(self, event: Event) -> None:
        """Stamp an event and pass it on; never blocks. Once the feed is closed, nothing is passed on any more."""
        if self.closed:
            return
        self.seq += 1
        stamped = msgspec.structs.replace(event, task=self._task, seq=self.seq, at=self._now())
        for sink in self._sinks:
            sink(stamped)
        for subscription in self._subscriptions:
            subscription.put(stamped)

    def attach(self, sink: EventSink) -> None:
        """Hand every event to `sink` before anything else happens. For writers of this house only: see `EventSink`."""
        self._sinks.append(sink)

    def subscribe(self, limit: int = 10_000) -> Subscription:
        """Open a queue for a reader: it gets what is published from now on."""
        subscription = Subscription(limit)
        self._subscriptions.append(subscription)
        if self.closed:
            subscription.close()
        return subscription

    def close(self) -> None:
        """End every subscription once its reader has caught up."""
        self.closed = True
        for subscription in self._subscriptions:
            subscription.close()
