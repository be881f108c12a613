"""A circuit breaker: a provider that fails again and again is left alone for a while, then tried with one call.

After Nygard, "Release It!" (2007), chapter "Stability Patterns".
"""

import random
from collections.abc import Callable
from typing import Final

from kugetsu.errors import ModelError, ModelFailure
from kugetsu.protocols import Clock

MOST_FAILURES: Final = 5
"""So many one after the other, without a success of any call between them, are enough."""

FIRST_SECONDS: Final = 5.0
"""How long the provider is left alone at first; doubles with each try that fails."""

LONGEST_SECONDS: Final = 300.0

_COUNTED: Final[frozenset[ModelFailure]] = frozenset({"network", "stall", "overloaded"})
"""What says that the provider itself is down. After anything else it has answered."""

_JITTER: Final = 0.1


class Breaker:
    """Shared by all models of one provider. Never waits.

    Args:
        provider: its name, for messages.
        clock: time.

    Attributes:
        tripped: whether calls are held back: all of them, or all but one that tries.
    """

    def __init__(self, provider: str, clock: Clock) -> None:
        self._provider = provider
        self._clock = clock
        self._listeners: list[Callable[[], None]] = []
        self._failures = 0
        self._openings = 0
        self._until = 0.0
        self._probing = False
        self._last = ""
        self.tripped = False

    def listen(self, listener: Callable[[], None]) -> None:
        """Have a function called whenever calls are held back from now on."""
        self._listeners.append(listener)

    @property
    def wait(self) -> float:
        """Seconds until a call may begin; 0 for now."""
        if not self.tripped:
            return 0.0
        wait = self._until - self._clock.monotonic()
        return wait if wait > 0 else FIRST_SECONDS * self._probing

    def refusal(self) -> ModelError | None:
        """Why no call may begin now; None when one may."""
        wait = self.wait
        if not wait:
            return None
        told = f"{self._provider} is failing; next try in {wait:.0f} s; what happened last: {self._last}"
        return ModelError("overloaded", told, retry_after=wait, asked=False)

    def begin(self) -> bool:
        """A call that was not refused begins; whether it is the one that tries."""
        if self.tripped:
            self._probing = True
        return self.tripped

    def heard(self) -> None:
        """A reply has begun: all may go on. Only a whole one shows that the provider is well."""
        if self.tripped:
            self._failures = 0
            self.tripped = self._probing = False

    def succeeded(self) -> None:
        """A call went well: all may go on."""
        self._failures = self._openings = 0
        self.tripped = self._probing = False

    def failed(self, error: ModelError, *, probe: bool) -> None:
        """A call failed.

        Args:
            error: how.
            probe: whether it was the one that tried.
        """
        if error.kind not in _COUNTED:
            self.succeeded()
            return
        self._last = error.message
        self._failures += 1
        # Calls that began before it was left alone say nothing new.
        if probe or (not self.tripped and self._failures >= MOST_FAILURES):
            self._open()

    def given_up(self, *, probe: bool) -> None:
        """A call was cancelled, which says nothing of the provider; another one may try."""
        if probe:
            self._probing = False

    def _open(self) -> None:
        seconds = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0**self._openings)
        spread = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - spreads load, keeps no secret
        self._until = self._clock.monotonic() + seconds * spread
        self._openings = min(self._openings + 1, 32)
        self._probing = False
        self.tripped = True
        for listener in self._listeners:
            listener()
