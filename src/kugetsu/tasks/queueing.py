"""The order of the queue, and what decides whether a failed run is tried again. Pure rules."""

import random
from dataclasses import dataclass
from typing import Final, Literal

from kugetsu.tasks.task import Outcome, OutcomeClass, Task

AGEING_SECONDS: Final = 60.0
"""What one step of priority is worth: so many seconds of waiting.

A task of priority p is overtaken only by tasks of a priority q > p that were queued less than (q - p) * AGEING_SECONDS
after it; so after at most 200 * 60 seconds nothing new goes before it. The order never needs an update.
"""

MOST_CRASHES: Final = 3
"""So many deaths of workers may be put down to a task that makes no headway before it is set aside."""


def rank(queued_at: float, priority: int) -> float:
    """The place in the queue: the lowest goes first; equal ones in the order of their arrival."""
    return queued_at - priority * AGEING_SECONDS


RetryClass = Literal["capacity", "retryable", "permanent"]
"""What a failure says about another try: later and for free, later and counted, or never."""

_CAPACITY: Final[frozenset[OutcomeClass]] = frozenset({"rate_limited", "overloaded"})
_RETRYABLE: Final[frozenset[OutcomeClass]] = frozenset({"network", "stall", "malformed", "idle_time", "workspace"})


def retry_class(kind: OutcomeClass) -> RetryClass:
    """What a failure of this class says about another try."""
    if kind in _CAPACITY:
        return "capacity"
    return "retryable" if kind in _RETRYABLE else "permanent"


@dataclass(frozen=True)
class Fate:
    """What becomes of a task whose run failed.

    Attributes:
        attempts: failed attempts that count so far.
        again_in: seconds until it is tried again; None when it has failed for good.
        parked: whether it waits for capacity until then, so that nothing of it counts as a failure.
    """

    attempts: int
    again_in: float | None = None
    parked: bool = False


@dataclass(frozen=True)
class Requeueing:
    """How tasks are tried again: exponential backoff with full jitter (Brooker, AWS 2015) and a cap.

    Attributes:
        base_seconds: longest wait before the second attempt; doubles with each.
        cap_seconds: longest wait ever.
    """

    base_seconds: float = 10.0
    cap_seconds: float = 600.0

    def fate(self, task: Task, outcome: Outcome, *, attempts: int, runs: int, waited: float, now: float = 0.0) -> Fate:
        """Decide what becomes of a task whose run just failed.

        Args:
            task: with its own limits.
            outcome: of the run.
            attempts: failed attempts before this one.
            runs: runs so far, this one included.
            waited: seconds that the task has been waiting for capacity already.
            now: seconds since the epoch, for an outcome that says until when.
        """
        match retry_class(outcome.kind):
            case "capacity" if waited < task.patience_seconds:
                delay = spread(outcome.until - now) if outcome.until > now else self._delay(runs)
                return Fate(attempts, min(delay, task.patience_seconds - waited), parked=True)
            case "retryable" if attempts + 1 < task.attempts:
                return Fate(attempts + 1, self._delay(attempts + 1))
            case _:
                return Fate(attempts + 1)

    def _delay(self, number: int) -> float:
        longest = min(self.cap_seconds, self.base_seconds * 2.0 ** min(number - 1, 32))
        return random.uniform(0, longest)  # noqa: S311 - spreads load, keeps no secret


_LONGEST_SPREAD: Final = 60.0
_SHORTEST_SPREAD: Final = 2.0


def spread(seconds: float) -> float:
    """A wait of at least so many seconds, a little longer by chance, so that not all come back at the same moment."""
    most = min(max(0.1 * seconds, _SHORTEST_SPREAD), _LONGEST_SPREAD)
    return seconds + random.uniform(0, most)  # noqa: S311 - spreads load, keeps no secret
