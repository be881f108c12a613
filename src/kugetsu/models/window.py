"""How many calls may be under way, learned from what the provider says: additive increase, multiplicative decrease.

The rule is that of Chiu and Jain, "Analysis of the Increase and Decrease Algorithms for Congestion Avoidance in Computer
Networks" (1989), which TCP follows: it finds the most that a provider takes, and shares it fairly with other programs.
"""

import math
from typing import Final

_SUCCESSES: Final = 10
"""Calls that went well, at least, before one more is tried."""


class Window:
    """The most calls at the same time. Pure.

    Args:
        most: a fixed bound; 0 for none.

    Attributes:
        limit: how many there may be now; 1 or more, infinite while nothing speaks against it.
        epoch: how often it was made smaller. A call remembers the one it began in.
    """

    def __init__(self, most: int = 0) -> None:
        self._most = most or math.inf
        self._successes = 0
        self.limit = self._most
        self.epoch = 0

    def shrink(self, epoch: int, active: int) -> None:
        """A call was too much: halve, once for all the calls that were under way together.

        Args:
            epoch: in which the call began.
            active: calls under way, that one included.
        """
        # One call alone says nothing of how many there may be.
        busy = min(self.limit, active) if active > 1 else self.limit
        if epoch == self.epoch and busy < math.inf:
            self.limit = max(1.0, busy // 2)
            self.epoch += 1
            self._successes = 0

    def grow(self) -> None:
        """A call went well: after so many as there may be at once, try one more."""
        if self.limit < self._most:
            self._successes += 1
            if self._successes >= max(_SUCCESSES, self.limit):
                self.limit += 1
                self._successes = 0
