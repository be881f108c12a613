"""A rate as a bucket that fills evenly and is taken from. Pure; times are seconds of a monotonic clock."""

from typing import Final

_BURSTS: Final = 12
"""At most this part of a minute's amount at once: what providers enforce is rarely as coarse as a minute."""

_CLOSE: Final = 1e-6
"""Less is rounding: without it, a wait that was waited for could still be a breath too short, for ever."""


class Bucket:
    """So much a minute: of amounts of 1, never more in any sixty seconds.

    An amount larger than the bucket goes when the bucket is full, and those after it wait for what it took too much.

    Args:
        per_minute: what may be taken in a minute, 1 or more.
        now: when it begins, full.
    """

    def __init__(self, per_minute: int, now: float) -> None:
        self._size = max(1, per_minute // _BURSTS)
        self._level = float(self._size)
        self._rate = (per_minute - self._size + 1) / 60.0
        self._at = now

    def wait(self, amount: float, now: float, *, ahead: float = 0.0) -> float:
        """Seconds until an amount may be taken, after what others take before it; 0 for now."""
        self._fill(now)
        missing = ahead + min(amount, self._size) - self._level
        return missing / self._rate if missing > _CLOSE else 0.0

    def take(self, amount: float, now: float) -> None:
        """Take an amount, also one that is not there."""
        self._fill(now)
        self._level -= amount

    def give(self, amount: float) -> None:
        """Give back what was not used; a negative amount takes what was used beyond."""
        self._level = min(self._size, self._level + amount)

    def _fill(self, now: float) -> None:
        self._level = min(self._size, self._level + (now - self._at) * self._rate)
        self._at = now
