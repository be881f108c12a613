"""Time that passes only when somebody waits for it."""

import asyncio
import heapq
from itertools import count
from typing import Final

_ROUNDS: Final = 50
"""Rounds of the event loop before time moves on."""


class FakeClock:
    """A clock whose waits take no real time. Implements `protocols.Clock`.

    A wait moves the time to its end. When several tasks wait, they wake one after the other in the order of their ends,
    each at its own time, so that a second passes once however many wait for it. With `auto=False` time stands still
    until `advance`. For one event loop.

    Args:
        start: seconds since the epoch at the beginning.
        auto: whether waiting moves the time.

    Attributes:
        waits: seconds that were asked for, in order.
    """

    def __init__(self, start: float = 1_700_000_000.0, *, auto: bool = True) -> None:
        self.waits: list[float] = []
        self._start = start
        self._passed = 0.0
        self._auto = auto
        self._number = count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._scheduled = False

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._start + self._passed

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._passed

    def advance(self, seconds: float) -> None:
        """Let time pass; waits that it ends wake in the order of their ends."""
        self._passed += seconds
        while self._sleepers and self._sleepers[0][0] <= self._passed:
            self._wake_first()

    async def sleep(self, seconds: float) -> None:
        """Wait until the time has come, without taking any; yields to other tasks at least once."""
        self.waits.append(seconds)
        awake = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._passed + max(0.0, seconds), next(self._number), awake))
        self._schedule()
        await awake

    def _schedule(self) -> None:
        """See to the first sleeper once all that can run now had some rounds of the event loop to come to rest."""
        if not self._scheduled and self._sleepers and (self._auto or self._sleepers[0][0] <= self._passed):
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._tick, _ROUNDS)

    def _tick(self, rounds: int) -> None:
        if rounds:
            asyncio.get_running_loop().call_soon(self._tick, rounds - 1)
            return
        self._scheduled = False
        if self._sleepers:
            self._wake_first()
        self._schedule()

    def _wake_first(self) -> None:
        end, _, awake = heapq.heappop(self._sleepers)
        # One that was cancelled moves no time.
        if not awake.done():
            self._passed = max(self._passed, end)
            awake.set_result(None)
