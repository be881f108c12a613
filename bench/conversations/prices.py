"""What requests cost, at the prices of today that genai-prices knows."""

from collections.abc import Iterable
from importlib.metadata import version
from typing import Final

import msgspec
from bench.conversations.teller import Sent

from kugetsu.config import ProviderSettings
from kugetsu.models.catalog import look_up
from kugetsu.models.pricing import MILLION, Pricing, Tokens
from kugetsu.protocols import SystemClock

MODELS: Final = ("anthropic/claude-sonnet-5-5", "openai/gpt-5.2", "deepseek/deepseek-v4-pro")
"""Three ways to charge: writing to the cache costs more than sending; reading it costs a tenth; reading it costs a thirtieth."""

_PROBE: Final = 1_000
"""Tokens; below all thresholds of prices that depend on the size of a prompt."""


class Priced:
    """A model and its prices.

    Attributes:
        name: `provider/model`.
        window: tokens.
        dollars: for a million tokens of each kind; where nothing is said of writing, it costs what sending does.
    """

    def __init__(self, name: str) -> None:
        provider, _, model = name.partition("/")
        entry = look_up(provider, ProviderSettings(), model, SystemClock())
        self.name = name
        self.window = entry.info.context_window
        self._pricing = entry.pricing
        self.dollars = {
            "input": self._probe(Tokens(input=_PROBE)),
            "cached": self._probe(Tokens(input=_PROBE, cached=_PROBE)),
            "cache write": self._probe(Tokens(input=_PROBE, cache_write=_PROBE)),
            "output": self._probe(Tokens(output=_PROBE)),
        }

    def cost(self, sent: Iterable[Sent]) -> float:
        """Dollars for requests. What is new is written to the cache, but in requests for notes, which come once."""
        return sum(self._one(request) for request in sent)

    def _one(self, sent: Sent) -> float:
        written = 0 if sent.summary else sent.input - sent.cached
        return price(self._pricing, Tokens(sent.input, sent.output, sent.cached, written))

    def _probe(self, tokens: Tokens) -> float:
        return price(self._pricing, tokens) * MILLION / _PROBE


def price(pricing: Pricing, tokens: Tokens) -> float:
    """Dollars for a call.

    Raises:
        SystemExit: nobody knows.
    """
    dollars = pricing.usage(msgspec.structs.replace(tokens, known=True)).cost_usd
    if dollars is None:
        raise SystemExit("the price of a model is not known, so nothing was reckoned")
    return dollars


def todays_prices() -> list[Priced]:
    """All models with their prices."""
    return [Priced(name) for name in MODELS]


def source() -> str:
    """Where the prices are from."""
    return f"genai-prices {version('genai-prices')}"
