"""What is under way to one target: how much at a time, and how long it rests when nothing gets through."""

import random
from collections import deque
from collections.abc import Collection
from typing import Final

import msgspec

from kugetsu.gateway.notifications.answers import Attempt
from kugetsu.protocols import Delivery

MOST_AT_ONCE: Final = 8
"""Attempts at one target at the same time; one, while it seems to be down."""

_LONGEST_REST: Final = 30.0
_BASE_SECONDS: Final = 1.0
_CAP_SECONDS: Final = 600.0
_UNREADY_CAP_SECONDS: Final = 60.0
_MOST_DOUBLINGS: Final = 16
_JITTER: Final = 0.2


def backoff(attempts: int, attempt: Attempt) -> float:
    """Seconds until news are tried again: one, doubled with each attempt, at most ten minutes, a little more or less by chance.

    What the other side asks for counts when it is longer. Without what a person has to set up it is never more than a minute.

    Args:
        attempts: that ended before this one.
        attempt: how this one ended.
    """
    cap = _UNREADY_CAP_SECONDS if attempt.unready else _CAP_SECONDS
    wait = min(_BASE_SECONDS * 2.0 ** min(attempts, _MOST_DOUBLINGS), cap)
    spread = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - spreads load, keeps no secret
    return max(wait * spread, attempt.retry_after)


class Held(msgspec.Struct, frozen=True):
    """A delivery that is ours for a while.

    Attributes:
        until: when somebody else may take it; seconds of the monotonic clock.
    """

    delivery: Delivery
    until: float


class Lane:
    """The way to one target.

    Attributes:
        running: attempts under way.
    """

    def __init__(self) -> None:
        self.running = 0
        self._waiting: deque[Held] = deque()
        self._failures = 0
        self._rests_until = 0.0

    @property
    def down(self) -> bool:
        """Whether nothing got through the last time."""
        return self._failures > 0

    def holds(self, tasks: Collection[str] = ()) -> bool:
        """Whether news of one of these tasks, or of any when none is named, wait here for their turn."""
        return any(not tasks or held.delivery.task in tasks for held in self._waiting)

    def room(self, now: float) -> int:
        """How many attempts more may begin; `now` is of the monotonic clock."""
        if now < self._rests_until:
            return 0
        return (1 if self._failures else MOST_AT_ONCE) - self.running

    def full(self, now: float) -> bool:
        """Whether it can use no more deliveries at present."""
        return self.room(now) <= len(self._waiting)

    def add(self, held: Held) -> None:
        """Let a delivery wait for its turn. One that was taken again, because the clock was set meanwhile, waits once."""
        self._waiting = deque(one for one in self._waiting if one.delivery.id != held.delivery.id)
        self._waiting.append(held)

    def next(self, now: float, needed: float) -> Held | None:
        """The next delivery to try, if there is room. Those that are ours for too short a time are left to be taken again.

        Args:
            now: seconds of the monotonic clock.
            needed: seconds that an attempt may take.
        """
        while self._waiting and self._waiting[0].until - now < needed:
            self._waiting.popleft()
        if not self._waiting or self.room(now) <= 0:
            return None
        self.running += 1
        return self._waiting.popleft()

    def ended(self, attempt: Attempt | None, now: float) -> None:
        """An attempt is over; None when nobody knows how."""
        self.running -= 1
        if attempt is None or attempt.unready:
            return
        if attempt.down:
            rest = min(_BASE_SECONDS * 2.0 ** min(self._failures, _MOST_DOUBLINGS), _LONGEST_REST)
            self._rests_until = max(self._rests_until, now + rest, now + min(attempt.retry_after, _CAP_SECONDS))
            self._failures += 1
        else:
            self._failures = 0
            self._rests_until = 0.0
