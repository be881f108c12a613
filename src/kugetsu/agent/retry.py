"""How long to wait before a failed model call is tried again."""

import random
from dataclasses import dataclass

from kugetsu.errors import ModelError


@dataclass(frozen=True)
class RetryPolicy:
    """Exponential backoff with full jitter (Brooker, "Exponential Backoff and Jitter", AWS 2015).

    Attributes:
        attempts: tries of one call altogether.
        base_seconds: longest wait before the second try; doubles with each.
        cap_seconds: longest wait ever.
        park_seconds: longest wait of a run that can wait elsewhere; None for one that cannot.
    """

    attempts: int = 6
    base_seconds: float = 1.0
    cap_seconds: float = 120.0
    park_seconds: float | None = None

    @property
    def longest(self) -> float:
        """The longest wait, in seconds."""
        return self.cap_seconds if self.park_seconds is None else min(self.cap_seconds, self.park_seconds)

    def delay(self, error: ModelError, attempt: int, held_back: float = 0.0) -> float | None:
        """Seconds to wait after the `attempt`-th try (from 1) failed so; None when it must not be tried again.

        A wait that the provider asked for is respected, with a little jitter on top, unless it exceeds the longest. It is
        never shorter than it would be without: some ask for no wait at all. A call that was held back before any request
        was made may come back as often as its waits together do not exceed the longest.

        Args:
            error: how it failed.
            attempt: tries so far, those that were held back left out.
            held_back: seconds that were waited since the last request because calls were held back.
        """
        if not error.retryable or (error.asked and attempt >= self.attempts):
            return None
        longest = min(self.longest, self.base_seconds * 2.0 ** (attempt - 1))
        jitter = random.uniform(0, longest)  # noqa: S311 - spreads load, keeps no secret
        if error.retry_after is None:
            return jitter
        if error.retry_after + (0.0 if error.asked else held_back) > self.longest:
            return None
        return max(jitter, error.retry_after + min(jitter, 0.1 * error.retry_after))
