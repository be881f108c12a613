"""How much of a model's window a prompt may take, and when it is pruned."""

from typing import Final

import msgspec

_REPLY: Final = 4
"""At most one part of so many is kept for the reply."""

_MARGIN: Final = 50
"""One part of so many is kept for what an estimate is wrong by."""


class ContextBudget(msgspec.Struct, frozen=True):
    """The window of one model, and what is done with it.

    Attributes:
        window: tokens that fit into one call, reply included.
        longest_reply: tokens.
        prune_at: share of the window above which a conversation is pruned; 0 for never.
        prune_to: share that it is pruned down to.
        compact_at: share above which its oldest turns are taken out, when pruning alone would leave more; 0 for never.
    """

    window: int
    longest_reply: int
    prune_at: float
    prune_to: float
    compact_at: float = 0.0

    @property
    def most(self) -> int:
        """The most tokens of a prompt."""
        return max(1, self.window - min(self.longest_reply, self.window // _REPLY) - self._margin)

    @property
    def trigger(self) -> int:
        """Above so many tokens a conversation is pruned."""
        return min(int(self.window * self.prune_at), self.most)

    @property
    def target(self) -> int:
        """Down to so many tokens."""
        return int(self.trigger * self.prune_to / self.prune_at) if self.prune_at else self.most

    @property
    def bearable(self) -> int:
        """When pruning leaves more tokens than that, turns are taken out."""
        return min(int(self.window * self.compact_at), self.most) if self.compact_at else self.window

    def reply(self, prompt: int) -> int:
        """The longest reply that fits behind a prompt; 0 or less when none does."""
        return min(self.longest_reply, self.window - prompt - self._margin)

    @property
    def _margin(self) -> int:
        return self.window // _MARGIN
