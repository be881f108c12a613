"""How many tokens a conversation has, corrected by what its provider counted."""

from collections.abc import Sequence
from typing import Final

from kugetsu.context.estimate import estimate
from kugetsu.messages import AssistantMessage, Message

_LOW: Final = 0.7
_HIGH: Final = 2.5
"""How far a provider's tokenizer is believed to differ from the estimate."""

_IMPLAUSIBLE: Final = 0.5
"""A provider that counts less than this part of the estimate leaves something out: what came from its cache, perhaps."""


class Sizes:
    """The estimates of a conversation's messages, each made once."""

    def __init__(self) -> None:
        self._tokens: list[int] = []
        self._messages: list[Message] = []

    def look(self, messages: Sequence[Message]) -> list[int]:
        """Estimate what is new or has changed; returns the tokens of each message."""
        del self._messages[len(messages) :], self._tokens[len(messages) :]
        for place, message in enumerate(messages):
            if place == len(self._messages):
                self._messages.append(message)
                self._tokens.append(estimate(message))
            elif self._messages[place] is not message:
                self._messages[place], self._tokens[place] = message, estimate(message)
        return self._tokens


class Meter:
    """Measures one conversation.

    Args:
        frame: estimate of the system prompt and all that is said of tools.
        ratio: to begin with.

    Attributes:
        ratio: tokens of its provider for each that is estimated.
        sizes: the estimates.
    """

    def __init__(self, frame: int, ratio: float = 1.0) -> None:
        self.ratio = ratio
        self._frame = frame
        self.sizes = Sizes()

    def measure(self, messages: Sequence[Message], same_from: int = 0) -> int:
        """About how many tokens a prompt has: what its provider counted last, and the estimate of what is new.

        What stands in a reply that was cut nobody counted: it is the most that it may have cost.

        Args:
            messages: the conversation.
            same_from: replies from this place on were given to the messages before them; earlier counts prove nothing.
        """
        tokens = self.sizes.look(messages)
        for place in range(len(messages) - 1, same_from - 1, -1):
            message = messages[place]
            if isinstance(message, AssistantMessage) and message.usage.input and message.stop != "aborted":
                before = self._frame + sum(tokens[:place])
                counted = message.usage.input
                if counted < before * _IMPLAUSIBLE:
                    break
                self.ratio = max(_LOW, min(_HIGH, counted / before)) if before else 1.0
                return counted + round(self.ratio * sum(tokens[place:]))
        return round(self.ratio * (self._frame + sum(tokens)))

    def correct(self, measured: int, true: int) -> None:
        """What was measured had more tokens than that."""
        if measured and true > measured:
            self.ratio = min(_HIGH, self.ratio * true / measured)

    def estimated(self, tokens: int) -> int:
        """So many tokens of the provider, as `estimate` counts them."""
        return round(tokens / self.ratio)


class Prefix:
    """How much of what is sent a prefix cache could serve: what a request has in common with the one before.

    Args:
        frame: estimate of what every request begins with.

    Attributes:
        requests: how many went out.
        sent: estimated tokens of all of them.
        repeated: of these the ones at their beginnings that the request before had sent too.
    """

    def __init__(self, frame: int) -> None:
        self.requests = self.sent = self.repeated = 0
        self._frame = frame
        self._messages: list[Message] = []

    def send(self, messages: Sequence[Message], sizes: Sequence[int]) -> None:
        """A request goes out, with messages of these sizes."""
        same = _common(self._messages, messages)
        if self.requests:
            self.repeated += self._frame + sum(sizes[:same])
        self.requests += 1
        self.sent += self._frame + sum(sizes)
        self._messages[same:] = messages[same:]

    @property
    def share(self) -> float:
        """The share of the tokens that a cache could serve."""
        return self.repeated / self.sent if self.sent else 0.0


def _common(ones: Sequence[Message], others: Sequence[Message]) -> int:
    """How many messages at the beginning are the same."""
    for place, (one, other) in enumerate(zip(ones, others, strict=False)):
        if one is not other and one != other:
            return place
    return min(len(ones), len(others))
