"""What is known of models: context, longest reply, pictures and prices.

What the settings say counts first, then genai-prices (bundled data, never the network), then a careful default. That
library takes 150 ms to import and is left alone for models that the settings describe, and for servers on this machine,
which it cannot know.
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from kugetsu.config import ModelSettings, ProviderSettings
from kugetsu.models.pricing import FREE, MILLION, Pricing, Rate, Rates, rates_of
from kugetsu.protocols import Clock, ModelInfo

if TYPE_CHECKING:
    from genai_prices import types as prices

CONTEXT_WINDOW: Final = 128_000
"""Tokens, for a model nothing is known of: what most models served today have at least."""

MAX_OUTPUT: Final = 16_384
"""Tokens of one reply, for a model nothing is known of: enough for a long file, and most models allow it."""

_LONGEST_REPLIES: Final = (
    (re.compile(r"claude-(2|instant)|claude-3-(opus|sonnet|haiku)"), 4_096),
    (re.compile(r"claude-3[-.]5"), 8_192),
    (re.compile(r"claude"), 32_000),
)
"""Tokens. Anthropic refuses a request that asks for more; 32,000 is what every Claude since 3.7 allows."""

_SEES: Final = re.compile(
    r"claude-(?!2|instant)|gpt-4o|gpt-4\.1|gpt-4-turbo|gpt-5|\bo3\b|o4-mini|gemini|gemma-3|pixtral|-vl\b|llama-4"
)
"""Models that take pictures; about others nothing is promised."""

_PROVIDERS: Final = {
    "anthropic": "anthropic",
    "deepseek": "deepseek",
    "gemini": "google",
    "groq": "groq",
    "openai": "openai",
    "openrouter": "openrouter",
}
"""Names of built-in providers in genai-prices; any other is looked up by its base URL."""

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_OPENROUTER: Final = "openrouter"


class CatalogEntry(msgspec.Struct, frozen=True):
    """What is known of one model.

    Attributes:
        info: for the agent.
        pricing: turns token counts into usage.
        said_output: longest reply that the settings name, None when they name none.
    """

    info: ModelInfo
    pricing: Pricing
    said_output: int | None


def look_up(provider: str, settings: ProviderSettings, name: str, clock: Clock) -> CatalogEntry:
    """Gather what is known of a model.

    Args:
        provider: its name in the settings.
        settings: of that provider.
        name: of the model, without the provider.
        clock: some prices depend on date or hour.
    """
    said = settings.models.get(name, ModelSettings())
    found = None if said.context_window and said.price else _find(provider, settings.base_url, name)
    rates = _rates(provider, name, said, found, clock)
    possible = list(filter(None, rates.possible() if isinstance(rates, _Changing) else [rates()]))
    pricing = Pricing(rates, believe=provider == _OPENROUTER and said.price is None)
    window = said.context_window or (found.context_window if found else None) or CONTEXT_WINDOW
    info = ModelInfo(
        context_window=window,
        max_output=said.max_output or min(_longest_reply(name), window // 2),
        images=bool(_SEES.search(name.lower())) if said.images is None else said.images,
        priced=pricing.known,
        usd_input=max((each.most_input for each in possible), default=0.0),
        usd_output=max((each.most_output for each in possible), default=0.0),
        usd_call=max((each.call for each in possible), default=0.0),
    )
    return CatalogEntry(info, pricing, said.max_output)


def _longest_reply(name: str) -> int:
    return next((tokens for pattern, tokens in _LONGEST_REPLIES if pattern.search(name.lower())), MAX_OUTPUT)


def _find(provider: str, base_url: str, name: str) -> "prices.ModelInfo | None":
    """Look a model up in genai-prices; a variant of OpenRouter (`:free`, `:nitro`) is as large as its base."""
    known = _PROVIDERS.get(provider)
    if known is None and urlsplit(base_url).hostname in _LOOPBACK:
        return None
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415 - slow, and most programs never need it

    where = (known, None) if known else (None, base_url)
    for reference in dict.fromkeys((name, name.partition(":")[0])):
        try:
            return get_snapshot().find_provider_model(reference, None, *where)[1]
        except LookupError:
            continue
    return None


def _rates(
    provider: str, name: str, said: ModelSettings, found: "prices.ModelInfo | None", clock: Clock
) -> Callable[[], Rates | None]:
    """A function that gives the rates in force."""
    if said.price:
        fixed: Rates | None = rates_of(said.price)
    elif provider == _OPENROUTER and name.endswith(":free"):
        fixed = FREE
    elif found is None or (provider == _OPENROUTER and name != found.id and ":" in name):
        fixed = None
    elif isinstance(found.prices, list):
        return _Changing(found, clock)
    else:
        fixed = _converted(found.prices)
    return lambda: fixed


class _Changing:
    """Rates that depend on date or hour; each set of them is converted once."""

    def __init__(self, model: "prices.ModelInfo", clock: Clock) -> None:
        self._model = model
        self._clock = clock
        self._converted: dict[int, Rates | None] = {}

    def __call__(self) -> Rates | None:
        return self._rates(self._model.get_prices(datetime.fromtimestamp(self._clock.now(), UTC)))

    def possible(self) -> Iterator[Rates | None]:
        """All rates that hold at some time from now on; the last that is valid counts, so older ones are hidden."""
        now = datetime.fromtimestamp(self._clock.now(), UTC)
        prices = self._model.prices
        for price in reversed(prices if isinstance(prices, list) else []):
            yield self._rates(price.prices)
            begins = getattr(price.constraint, "start_date", None)
            if price.constraint is None or (begins and begins <= now.date()):
                return

    def _rates(self, price: "prices.ModelPrice") -> Rates | None:
        if id(price) not in self._converted:
            self._converted[id(price)] = _converted(price)
        return self._converted[id(price)]


def _converted(price: "prices.ModelPrice") -> Rates | None:
    """Rates from the library's price; None when it is not by tokens."""
    if price.input_mtok is None or price.output_mtok is None:
        return None
    fresh = _rate(price.input_mtok)
    return Rates(
        input=fresh,
        output=_rate(price.output_mtok),
        cached=fresh if price.cache_read_mtok is None else _rate(price.cache_read_mtok),
        cache_write=fresh if price.cache_write_mtok is None else _rate(price.cache_write_mtok),
        call=_rate(price.requests_kcount)[0][1] * 1000 if price.requests_kcount else 0.0,
    )


def _rate(price: "Decimal | prices.TieredPrices") -> Rate:
    if isinstance(price, Decimal):
        return ((0, float(price) / MILLION),)
    return ((0, float(price.base) / MILLION), *((tier.start, float(tier.price) / MILLION) for tier in price.tiers))
