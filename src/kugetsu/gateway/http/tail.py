"""One reader of the store's feed for all who follow what happens: it reads while somebody listens, and wakes whom it concerns."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from kugetsu.errors import RecordError
from kugetsu.gateway.http.ring import EVERYTHING, Frame, Ring
from kugetsu.protocols import Store

LOOK_SECONDS: Final = 0.1
"""How often it is looked whether something happened, while somebody listens."""

RING_BYTES: Final = 8 * 2**20
"""What is kept of the latest events, so that clients need not be served from the store."""

_PAGE: Final = 200
_SOON_SECONDS: Final = 0.02
_SOON_EACH: Final = 0.0005
"""Added for each who listens: waking hundreds for every single event would cost more than all else."""

_TROUBLE_SECONDS: Final = 1.0

_logger: Final = logging.getLogger(__name__)


class Listener:
    """Somebody who waits for news."""

    def __init__(self) -> None:
        self._news = asyncio.Event()

    def tell(self) -> None:
        """There is something new."""
        self._news.set()

    def heard(self) -> None:
        """What there is will be looked at now; call it before looking."""
        self._news.clear()

    async def wait(self, seconds: float) -> bool:
        """Wait for news since `heard`; False when there were none for so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return False
        return True


class Tail:
    """The end of what happened, in one place for all who follow it.

    Args:
        store: where events are.
        budget: bytes of the latest events that are kept.

    Attributes:
        ring: the latest events; empty while nobody listens.
    """

    def __init__(self, store: Store, budget: int = RING_BYTES) -> None:
        self.ring = Ring(budget)
        self._store = store
        self._listeners: dict[str, set[Listener]] = {}
        self._wanted = asyncio.Event()
        self._called = asyncio.Event()
        self._troubled = False

    @contextmanager
    def listen(self, task: str = EVERYTHING) -> Iterator[Listener]:
        """Be told of news of a task, or of all, while the block runs; and when the ring begins anew."""
        listener = Listener()
        self._listeners.setdefault(task, set()).add(listener)
        self._wanted.set()
        try:
            yield listener
        finally:
            others = self._listeners[task]
            others.discard(listener)
            if not others:
                del self._listeners[task]
            if not self._listeners:
                self._wanted.clear()

    def wake(self) -> None:
        """Look at once: something happened."""
        self._called.set()

    def tell_all(self) -> None:
        """Wake everybody who listens."""
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.tell()

    async def read(self) -> None:
        """Read while somebody listens, without an end. A store that cannot be read is tried again."""
        while True:
            await self._wanted.wait()
            try:
                await self._follow()
            except RecordError as error:
                await self._bear(error)

    async def _follow(self) -> None:
        """Read from the present end on, until nobody listens any more."""
        self.ring.restart(await self._store.last_event())
        self.tell_all()
        while self._listeners:
            self._called.clear()
            events = await self._store.feed(after=self.ring.last, most=_PAGE)
            self._troubled = False
            for numbered in events:
                self.ring.put(Frame.of(numbered.event, numbered.number))
            self._tell({numbered.event.task for numbered in events})
            if len(events) < _PAGE:
                await self._rest()

    def _tell(self, tasks: set[str]) -> None:
        for task in tasks and (*tasks, EVERYTHING):
            for listener in self._listeners.get(task, ()):
                listener.tell()

    async def _rest(self) -> None:
        soon = min(LOOK_SECONDS, _SOON_SECONDS + _SOON_EACH * sum(map(len, self._listeners.values())))
        await asyncio.sleep(soon)  # however often it is called
        try:
            async with asyncio.timeout(LOOK_SECONDS - soon):
                await self._called.wait()
        except TimeoutError:
            pass

    async def _bear(self, error: RecordError) -> None:
        if not self._troubled:
            _logger.warning("clients that follow events get nothing for now: %s", error)
        self._troubled = True
        await asyncio.sleep(_TROUBLE_SECONDS)
