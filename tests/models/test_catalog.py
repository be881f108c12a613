import socket
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from genai_prices.types import ClauseEquals, ConditionalPrice, ModelInfo, ModelPrice, StartDateConstraint

from kugetsu.config import PRESETS, ModelSettings, Price, ProviderSettings
from kugetsu.models.catalog import CONTEXT_WINDOW, MAX_OUTPUT, CatalogEntry, _Changing, look_up
from kugetsu.models.pricing import Pricing, Rates, Tokens
from kugetsu.testing import FakeClock

MILLION = Tokens(input=1_000_000, output=100_000, known=True)


def known(provider: str, name: str, clock: FakeClock | None = None, **said: Any) -> CatalogEntry:
    settings = PRESETS.get(provider, ProviderSettings(base_url="https://api.example.com/v1"))
    if said:
        settings = ProviderSettings(base_url=settings.base_url, models={name: ModelSettings(**said)})
    return look_up(provider, settings, name, clock or FakeClock())


def cost(entry: CatalogEntry, tokens: Tokens = MILLION) -> float | None:
    return entry.pricing.usage(tokens).cost_usd


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object) -> None:
        raise AssertionError("the catalog must not touch the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize(
    ("provider", "name", "window", "dollars"),
    [
        ("openai", "gpt-5", 400_000, 1.25 + 1.0),
        ("anthropic", "claude-opus-4-1", 200_000, 15 + 7.5),
        ("openrouter", "openai/gpt-5", 400_000, 1.25 + 1.0),
        ("groq", "openai/gpt-oss-120b", 131_072, 0.15 + 0.06),
    ],
)
def test_models_of_the_table_have_their_window_and_price(provider: str, name: str, window: int, dollars: float) -> None:
    entry = known(provider, name)
    assert entry.info.context_window == window
    assert entry.info.priced
    assert cost(entry) == pytest.approx(dollars)


def test_a_model_nobody_knows_gets_careful_defaults_and_no_price() -> None:
    entry = known("example", "mystery-9")
    assert (entry.info.context_window, entry.info.max_output) == (CONTEXT_WINDOW, MAX_OUTPUT)
    assert (entry.info.images, entry.info.priced, entry.said_output) == (False, False, None)
    assert cost(entry) is None


def test_what_the_settings_say_counts_over_the_table() -> None:
    entry = known("openai", "gpt-5", context_window=9000, max_output=500, images=False, price=Price(1, 2))
    assert (entry.info.context_window, entry.info.max_output, entry.info.images) == (9000, 500, False)
    assert entry.said_output == 500
    assert cost(entry) == pytest.approx(1 + 0.2)


def test_what_the_settings_leave_open_comes_from_the_table() -> None:
    entry = known("openai", "gpt-5", max_output=500)
    assert entry.info.context_window == 400_000
    assert cost(entry) == pytest.approx(2.25)


def test_a_provider_of_another_name_is_known_by_its_address() -> None:
    settings = ProviderSettings(base_url="https://api.openai.com/v1")
    assert look_up("work", settings, "gpt-5", FakeClock()).info.context_window == 400_000


def test_free_models_of_openrouter_cost_nothing() -> None:
    entry = known("openrouter", "stepfun/step-3.5-flash:free")
    assert entry.info.priced
    assert cost(entry) == 0.0
    assert cost(entry, Tokens()) == 0.0


def test_a_variant_is_as_large_as_its_base_but_not_as_dear() -> None:
    entry = known("openrouter", "openai/gpt-5:nitro")
    assert entry.info.context_window == 400_000
    assert cost(entry) is None
    assert cost(entry, Tokens(cost_usd=0.5, known=True)) == 0.5


def test_a_cost_that_others_name_is_not_believed() -> None:
    assert cost(known("example", "mystery-9"), Tokens(1, 1, cost_usd=9.0, known=True)) is None


@pytest.mark.parametrize(
    ("name", "longest"),
    [
        ("claude-3-haiku-20240307", 4_096),
        ("claude-3-5-sonnet-20241022", 8_192),
        ("claude-3-7-sonnet-20250219", 32_000),
        ("claude-sonnet-4-5", 32_000),
        ("claude-opus-9", 32_000),
    ],
)
def test_claude_is_never_asked_for_more_than_it_allows(name: str, longest: int) -> None:
    assert known("anthropic", name).info.max_output == longest


def test_the_longest_reply_leaves_room_for_a_prompt() -> None:
    assert known("example", "tiny", context_window=8_000).info.max_output == 4_000


@pytest.mark.parametrize(
    ("name", "sees"),
    [
        ("claude-opus-4-1", True),
        ("gpt-5.1", True),
        ("gemini-2.5-pro", True),
        ("gpt-oss-120b", False),
        ("claude-2", False),
    ],
)
def test_pictures_are_promised_for_families_that_take_them(name: str, sees: bool) -> None:
    assert known("example", name).info.images == sees


def test_long_prompts_cost_the_rate_of_their_tier() -> None:
    entry = known("anthropic", "claude-sonnet-4-5")
    assert cost(entry, Tokens(200_000, known=True)) == pytest.approx(0.2 * 3)
    assert cost(entry, Tokens(200_001, known=True)) == pytest.approx(0.200001 * 6)


def test_cached_and_written_tokens_have_their_own_rates() -> None:
    entry = known("anthropic", "claude-opus-4-1")
    tokens = Tokens(input=1_000_000, cached=600_000, cache_write=300_000, known=True)
    assert cost(entry, tokens) == pytest.approx(0.1 * 15 + 0.6 * 1.5 + 0.3 * 18.75)


def test_a_price_that_depends_on_the_hour_follows_the_clock() -> None:
    night = FakeClock(datetime(2025, 11, 22, 20, 0, tzinfo=UTC).timestamp())
    day = FakeClock(datetime(2025, 11, 22, 8, 0, tzinfo=UTC).timestamp())
    costs = [cost(known("deepseek", "deepseek-chat", clock)) for clock in (night, day)]
    assert costs[0] is not None
    assert costs[1] is not None
    assert costs[0] < costs[1]


def test_parts_larger_than_the_prompt_make_no_negative_price() -> None:
    rates = Rates(((0, 1.0),), ((0, 1.0),), ((0, 1.0),), ((0, 1.0),))
    usage = Pricing(lambda: rates).usage(Tokens(input=1, cached=1, cache_write=1, known=True))
    assert usage.cost_usd == 2.0


def test_the_table_is_not_loaded_for_servers_on_this_machine_or_described_models(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in sys.modules if name.startswith("genai_prices")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    assert known("ollama", "qwen3").info.context_window == CONTEXT_WINDOW
    assert known("openai", "gpt-5", context_window=9, price=Price(1, 1)).info.context_window == 9
    with pytest.raises(ImportError):
        known("openai", "gpt-5")


@pytest.mark.parametrize(
    ("provider", "name", "most_input", "most_output"),
    [
        ("openai", "gpt-5", 1.25, 10),
        ("anthropic", "claude-opus-4-1", 18.75, 75),
        ("anthropic", "claude-sonnet-4-5", 7.5, 22.5),
        ("deepseek", "deepseek-chat", 0.27, 1.1),
        ("example", "mystery-9", 0, 0),
        ("openrouter", "stepfun/step-3.5-flash:free", 0, 0),
    ],
)
def test_the_most_a_token_costs_is_that_of_the_longest_prompt_the_dearest_hour_and_writing_to_the_cache(
    provider: str, name: str, most_input: float, most_output: float
) -> None:
    info = known(provider, name).info
    assert [info.usd_input * 1e6, info.usd_output * 1e6] == pytest.approx([most_input, most_output])


def test_the_most_a_token_costs_follows_the_price_of_the_settings() -> None:
    info = known("openai", "gpt-5", price=Price(1, 2, cache_write=3)).info
    assert [info.usd_input, info.usd_output] == pytest.approx([3e-6, 2e-6])


@pytest.mark.parametrize(
    ("day", "most"), [(datetime(2026, 8, 1, tzinfo=UTC), 30), (datetime(2026, 9, 1, tzinfo=UTC), 20)]
)
def test_a_price_that_is_over_counts_no_more_and_one_to_come_does(day: datetime, most: float) -> None:
    now, later = (
        ModelPrice(input_mtok=Decimal(3), output_mtok=Decimal(30)),
        ModelPrice(input_mtok=Decimal(2), output_mtok=Decimal(20)),
    )
    prices = [ConditionalPrice(prices=now), ConditionalPrice(StartDateConstraint(date(2026, 8, 21)), prices=later)]
    changing = _Changing(ModelInfo("m", ClauseEquals("m"), prices=prices), FakeClock(day.timestamp()))
    assert max(rates.most_output for rates in changing.possible() if rates) == pytest.approx(most / 1e6)
