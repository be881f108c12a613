import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from kugetsu.config import ModelSettings, Price, ProviderSettings, Settings
from kugetsu.errors import ConfigError, MissingKeyError, ModelFailure
from kugetsu.messages import ReplyStart, TextDelta, Thinking, user
from kugetsu.models import Models
from kugetsu.protocols import ModelInfo, ModelRequest
from kugetsu.rehearsal import Script, ScriptedTurn, ScriptedUsage
from kugetsu.testing import FakeClock, Fault, ScriptedServer
from kugetsu.testing.faults import OVERFLOW
from models.model_lab import REQUEST, ask, fail, wire_of

OWN, SPARE = "own/m", "spare/s"
SCRIPT = Script((ScriptedTurn(text="by the fallback", thinking="hm", usage=ScriptedUsage(1_000_000, 0)),) * 9)
LIMITED = Fault("status", 429, {"retry-after": "3600"})


class Pair:
    """A provider and the one to fall back on, both over HTTP."""

    def __init__(self, own: ScriptedServer, spare: ScriptedServer, models: Models, clock: FakeClock) -> None:
        self.own, self.spare, self.models, self.clock = own, spare, models, clock
        self.model = models.open(OWN, patience=30)

    @property
    def calls(self) -> tuple[int, int]:
        return len(self.own.requests), len(self.spare.requests)


@asynccontextmanager
async def pair(
    own: dict[int, Fault] | None = None, spare: dict[int, Fault] | None = None, *, requests_per_minute: int = 0
) -> AsyncIterator[Pair]:
    clock = FakeClock()
    script = Script((ScriptedTurn(text="by its own"),) * 9)
    async with ScriptedServer(script, faults=own) as first, ScriptedServer(SCRIPT, faults=spare) as second:
        providers = {
            "own": ProviderSettings(base_url=first.base_url, requests_per_minute=requests_per_minute),
            "spare": ProviderSettings(
                wire="anthropic",
                base_url=second.base_url,
                models={"s": ModelSettings(50_000, 4_000, Price(2, 8), images=True)},
            ),
        }
        settings = Settings(providers=providers, fallback=SPARE)
        async with Models(settings, {}, clock=clock) as models:
            yield Pair(first, second, models, clock)


async def test_while_its_own_is_blocked_the_fallback_speaks_in_its_own_name_and_at_its_own_price() -> None:
    async with pair({0: LIMITED}) as both:
        reply = await ask(both.model)
        assert (reply.text, reply.model, reply.usage.cost_usd) == ("by the fallback", SPARE, 2.0)
        await ask(both.model)
        assert both.calls == (1, 2)
        assert both.models.closed() == {}
        both.clock.advance(3601)
        reply = await ask(both.model)
        assert (reply.text, reply.model) == ("by its own", OWN)
        assert both.calls == (2, 2)


async def test_a_reply_says_who_speaks_before_anything_else() -> None:
    async with pair({0: LIMITED}) as both:
        deltas = [delta async for delta in both.model.stream(REQUEST)]
        own = [delta async for delta in wire_of(both.models.open(SPARE)).stream(REQUEST)]
    assert deltas[0] == ReplyStart(SPARE)
    assert deltas[1:] == own


async def test_reasoning_of_the_fallback_is_not_given_back_to_its_own() -> None:
    async with pair({0: LIMITED}) as both:
        reply = await ask(both.model)
        assert isinstance(reply.content[0], Thinking)
        both.clock.advance(3601)
        await ask(both.model, ModelRequest("", [*REQUEST.messages, reply, *REQUEST.messages]))
        assert both.own.requests[-1].body["messages"][1] == {"role": "assistant", "content": "by the fallback"}


async def test_a_short_block_is_waited_for() -> None:
    async with pair({0: Fault("status", 503, {"retry-after": "20"})}) as both:
        assert (await fail(both.model)).retry_after == 20
        assert (await ask(both.model)).model == OWN
        assert both.clock.monotonic() == pytest.approx(20)
        assert both.calls == (2, 0)


async def test_a_queue_that_is_too_long_is_passed_by() -> None:
    async with pair(requests_per_minute=1) as both:
        replies = await asyncio.gather(*(ask(both.model) for _ in range(4)))
    assert sorted(reply.model for reply in replies) == [OWN, SPARE, SPARE, SPARE]
    assert both.clock.waits == []


async def test_an_open_breaker_that_stays_open_for_long_is_passed_by() -> None:
    async with pair({number: Fault("status", 500) for number in range(9)}) as both:
        for _ in range(5):
            assert (await fail(both.model)).status == 500
        for seconds in (6, 12, 23):
            assert "own is failing" in str(await fail(both.model))
            both.clock.advance(seconds)
            assert (await fail(both.model)).status == 500
        assert (await ask(both.model)).model == SPARE
        assert both.calls == (8, 1)


async def test_an_empty_account_is_passed_by() -> None:
    async with pair({0: Fault("status", 402)}) as both:
        assert (await ask(both.model)).model == SPARE


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault("status", 401, {"retry-after": "3600"}), "authentication"),
        (Fault("status", 400, {"retry-after": "3600"}), "bad_request"),
        (Fault("status", 413, {"retry-after": "3600"}), "context_overflow"),
        (Fault("refused"), "refused"),
        (Fault("status", 429), "rate_limited"),
        (Fault("reset", after=0), "network"),
    ],
)
async def test_other_failures_are_its_own(fault: Fault, kind: ModelFailure) -> None:
    async with pair({0: fault}) as both:
        assert (await fail(both.model)).kind == kind
        assert both.calls == (1, 0)


async def test_a_reply_that_has_begun_is_not_begun_again_by_another() -> None:
    late = Fault("stream_error", 429, body=b'{"error": {"message": "rate limit", "retry_after": 3600}}', after=2)
    async with pair({0: late}) as both:
        error = await fail(both.model)
        assert (error.kind, error.retry_after) == ("rate_limited", 3600)
        assert both.calls == (1, 0)
        assert (await ask(both.model)).model == SPARE


@pytest.mark.parametrize(("own", "spare", "first"), [(7200, 600, 600), (600, 7200, 600)])
async def test_when_neither_has_capacity_the_earlier_time_is_told(own: int, spare: int, first: int) -> None:
    faults = ({0: Fault("status", 429, {"retry-after": str(seconds)})} for seconds in (own, spare))
    async with pair(*faults) as both:
        error = await fail(both.model)
        assert (error.kind, error.retry_after) == ("rate_limited", first)
        assert "own/m: rate limited" in error.message
        assert "and the fallback: spare/s: rate limited" in error.message
        assert (await fail(both.model)).retry_after == first
        assert both.calls == (1, 1)
        assert both.models.closed()[OWN] == pytest.approx(both.clock.now() + first)


async def test_a_fallback_that_cannot_help_leaves_the_task_to_wait_for_its_own() -> None:
    async with pair({0: LIMITED}, {0: Fault("status", 401)}) as both:
        error = await fail(both.model)
        assert (error.kind, error.retry_after) == ("rate_limited", 3600)
        assert "the key was not accepted" in error.message


async def test_what_does_not_fit_the_fallback_is_made_to_fit_when_its_own_will_not_reply_by_itself() -> None:
    long = ModelRequest("", (user("hello"),), about_tokens=40_000)
    async with pair(dict.fromkeys(range(2), Fault("status", 402)), {0: Fault("status", OVERFLOW)}) as both:
        assert (await fail(both.model, long)).kind == "context_overflow"
        assert (await ask(both.model)).model == SPARE
    async with pair({0: LIMITED}, {0: Fault("status", OVERFLOW)}) as both:
        failed = await fail(both.model, long)
        assert (failed.kind, failed.retry_after) == ("rate_limited", 3600), "its own may take all of it"


async def test_what_is_relied_on_holds_for_both() -> None:
    async with pair() as both:
        own, spare = (wire_of(both.models.open(name)).info for name in (OWN, SPARE))
        longest = max(own.unbounded_reply, spare.unbounded_reply)
        together = ModelInfo(50_000, 4_000, False, False, spare.usd_input, spare.usd_output, longest_reply=longest)
        assert both.model.info == together
        assert spare.usd_output == pytest.approx(8e-6)
        assert msgspec.structs.replace(both.models.open(SPARE).info) == spare
        assert own.context_window > 50_000


async def test_a_reply_of_the_fallback_can_be_left_in_the_middle() -> None:
    async with pair({0: LIMITED}) as both:
        async for delta in both.model.stream(REQUEST):
            if isinstance(delta, TextDelta):
                break
        assert (await ask(both.model)).model == SPARE


async def test_the_fallback_has_no_fallback() -> None:
    async with pair(spare={0: LIMITED}) as both:
        error = await fail(both.models.open(SPARE, patience=30))
        assert error.retry_after == 3600
        assert both.models.closed() == {SPARE: both.clock.now() + 3600}


def test_a_missing_key_of_the_fallback_is_told_from_a_fallback_that_nobody_can_use() -> None:
    settings = Settings(providers={"own": ProviderSettings(base_url="http://h")}, fallback="openai/gpt-5")
    with pytest.raises(MissingKeyError, match="`fallback`: no key for openai"):
        Models(settings, {}).open("own/m")


@pytest.mark.parametrize("fallback", ["nonsense", "unknown/m", "openai/gpt-5"])
def test_a_fallback_that_cannot_be_used_is_refused_by_its_field(fallback: str) -> None:
    settings = Settings(providers={"own": ProviderSettings(base_url="http://h")}, fallback=fallback)
    with pytest.raises(ConfigError, match="`fallback`: "):
        Models(settings, {}).open(OWN)
