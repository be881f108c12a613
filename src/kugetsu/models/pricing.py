"""What calls cost, from the tokens that providers report."""

from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec

from kugetsu.config import Price
from kugetsu.messages import Usage

MILLION: Final = 1_000_000

Rate: TypeAlias = tuple[tuple[int, float], ...]
"""US dollars a token: `(threshold, rate)`, lowest first. The rate of the highest threshold that the prompt exceeds
holds for all its tokens, which is how Anthropic, Google and OpenAI charge for long prompts."""


_MOST_TOKENS: Final = 1e12
"""No call has more."""


def token_count(number: float | None) -> int:
    """Read a count as a server reports it; one that cannot be true (negative, infinite, no number) is 0."""
    return int(number) if number is not None and 0 < number < _MOST_TOKENS else 0


class Tokens(msgspec.Struct, gc=False):
    """What a provider reports of one call.

    Attributes:
        input: prompt tokens, those read from and written to its cache included.
        output: generated tokens, reasoning included.
        cached: the part of `input` that its cache served.
        cache_write: the part of `input` that was written to its cache.
        cost_usd: what it says it charges, None when it does not say.
        known: whether it reported anything at all.
    """

    input: int = 0
    output: int = 0
    cached: int = 0
    cache_write: int = 0
    cost_usd: float | None = None
    known: bool = False


class Rates(msgspec.Struct, frozen=True):
    """Prices of one model, in US dollars."""

    input: Rate
    output: Rate
    cached: Rate
    cache_write: Rate
    call: float = 0.0

    @property
    def free(self) -> bool:
        """Whether nothing costs anything."""
        rates = (*self.input, *self.output, *self.cached, *self.cache_write)
        return not self.call and not any(rate for _, rate in rates)

    @property
    def most_input(self) -> float:
        """The most that one token of a prompt costs."""
        return max(rate for _, rate in (*self.input, *self.cached, *self.cache_write))

    @property
    def most_output(self) -> float:
        """The most that one token of a reply costs."""
        return max(rate for _, rate in self.output)


FREE: Final = Rates(((0, 0.0),), ((0, 0.0),), ((0, 0.0),), ((0, 0.0),))


def rates_of(price: Price) -> Rates:
    """The rates of a price from the settings."""
    cached = price.input if price.cached is None else price.cached
    written = price.input if price.cache_write is None else price.cache_write
    return Rates(_flat(price.input), _flat(price.output), _flat(cached), _flat(written))


def _flat(dollars: float) -> Rate:
    return ((0, dollars / MILLION),)


class Pricing:
    """Turns a provider's report into usage with its price.

    Args:
        rates: gives the rates in force now, None when they are unknown.
        believe: whether the cost that the provider names counts before the rates.
    """

    def __init__(self, rates: Callable[[], Rates | None], *, believe: bool = False) -> None:
        self._rates = rates
        self._believe = believe

    @property
    def known(self) -> bool:
        """Whether usage will have a price."""
        return self._believe or self._rates() is not None

    def usage(self, tokens: Tokens) -> Usage:
        """What a call consumed; its cost is None when no price is known, or no tokens were reported for a price."""
        return Usage(tokens.input, tokens.output, tokens.cached, self._cost(tokens))

    def _cost(self, tokens: Tokens) -> float | None:
        if self._believe and tokens.cost_usd is not None:
            return tokens.cost_usd
        rates = self._rates()
        if rates is None or rates.free:
            return None if rates is None else 0.0
        return _sum(rates, tokens) if tokens.known else None


def _sum(rates: Rates, tokens: Tokens) -> float:
    fresh = max(0, tokens.input - tokens.cached - tokens.cache_write)
    return (
        rates.call
        + fresh * _at(rates.input, tokens.input)
        + tokens.cached * _at(rates.cached, tokens.input)
        + tokens.cache_write * _at(rates.cache_write, tokens.input)
        + tokens.output * _at(rates.output, tokens.input)
    )


def _at(rate: Rate, prompt: int) -> float:
    """The rate for a prompt of this size."""
    if len(rate) == 1:
        return rate[0][1]
    return [dollars for threshold, dollars in rate if prompt > threshold or threshold == 0][-1]
