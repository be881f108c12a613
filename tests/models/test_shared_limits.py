"""Many agents on one provider, over real HTTP."""

import asyncio

import pytest

from kugetsu.agent import RetryPolicy
from kugetsu.agent.reply import Replies
from kugetsu.config import ModelSettings, Price, ProviderSettings, Settings, Wire
from kugetsu.errors import ModelError
from kugetsu.events import Event, ModelRetried
from kugetsu.messages import AssistantMessage, Message, user
from kugetsu.models import Models
from kugetsu.models.breaker import MOST_FAILURES
from kugetsu.protocols import Model, ModelRequest, SystemClock
from kugetsu.rehearsal import Script, ScriptedTurn, ScriptedUsage
from kugetsu.testing import FakeClock, Fault, ScriptedServer
from models.model_lab import WIRES, ask, fail, model_at, settings_for, wire_of

TURNS = 4
SLOW = Script((ScriptedTurn(text="x", delay=0.01),) * (TURNS - 1) + (ScriptedTurn(text="over", delay=0.01),))


async def reply_to(replies: Replies, request: ModelRequest) -> AssistantMessage:
    async def prepare() -> ModelRequest:
        return request

    async def waste(_arrived: AssistantMessage) -> None:
        """Nobody counts."""

    return await replies.ask(prepare, 1, lambda _: None, waste)


async def agent(model: Model, retry: RetryPolicy, events: list[Event]) -> AssistantMessage:
    """Talk until the script is over."""
    replies = Replies(model, retry, SystemClock(), events.append)
    messages: list[Message] = [user("go")]
    while True:
        reply = await reply_to(replies, ModelRequest("", messages))
        if reply.text == "over":
            return reply
        messages += [reply, user("go on")]


async def test_fifty_agents_on_a_provider_that_takes_five_all_come_to_their_end() -> None:
    events: list[Event] = []
    retry = RetryPolicy(attempts=12, base_seconds=0.02)
    async with (
        ScriptedServer(SLOW, order="conversation", at_once=5, record=False) as server,
        Models(settings_for(server.base_url), {}) as models,
    ):
        models.open("test/m")
        replies = await asyncio.gather(*(agent(models.open("test/m", patience=30), retry, events) for _ in range(50)))
        assert len(replies) == 50
        refusals = [event for event in events if isinstance(event, ModelRetried)]
        assert 0 < server.turned_away == len(refusals) <= 150
        limits = wire_of(models.open("test/m")).limiter
        assert limits._window.limit < 50
        assert limits._active == 0


async def test_a_fixed_number_at_once_is_never_passed() -> None:
    async with (
        ScriptedServer(SLOW, order="conversation", at_once=5, record=False) as server,
        Models(settings_for(server.base_url, concurrency=5), {}) as models,
    ):
        await asyncio.gather(*(agent(models.open("test/m"), RetryPolicy(attempts=1), []) for _ in range(50)))
        assert server.turned_away == 0


@pytest.mark.parametrize("wire", WIRES)
async def test_a_known_time_holds_all_back_without_a_request(wire: Wire) -> None:
    clock = FakeClock()
    script = Script((ScriptedTurn(fail="rate_limited", retry_after=900), ScriptedTurn(text="again")))
    async with (
        ScriptedServer(script, order="conversation") as server,
        Models(settings_for(server.base_url, wire), {}, clock=clock) as models,
    ):
        shadows = [models.open("test/m", patience=30) for _ in range(50)]
        assert (await fail(shadows[0])).retry_after == 900
        errors = await asyncio.gather(*(fail(model) for model in shadows))
        assert {(error.kind, error.retry_after) for error in errors} == {("rate_limited", 900)}
        assert models.closed() == {"test/m": clock.now() + 900}
        assert len(server.requests) == 1
        clock.advance(871)
        assert models.closed() == {}
        replies = await asyncio.gather(*(ask(model) for model in shadows))
        assert {reply.text for reply in replies} == {"again"}
        assert clock.monotonic() == pytest.approx(900)


async def test_a_model_that_work_goes_on_without_closes_for_nobody_until_a_task_has_it_for_its_own() -> None:
    clock = FakeClock()
    async with (
        ScriptedServer(Script(), faults={0: Fault("status", 429, {"retry-after": "900"})}) as server,
        Models(settings_for(server.base_url), {}, clock=clock) as models,
    ):
        aside = models.open("test/notes", patience=30, aside=True)
        assert (await fail(aside)).retry_after == 900
        assert models.closed() == {}
        models.open("test/notes")
        models.open("test/notes", aside=True)
        assert models.closed() == {"test/notes": clock.now() + 900}


async def test_a_model_that_work_goes_on_without_may_fail_for_ever_and_holds_back_no_other() -> None:
    clock = FakeClock()
    down = dict.fromkeys(range(MOST_FAILURES), Fault("status", 503))
    async with (
        ScriptedServer(Script((ScriptedTurn(text="well"),)), faults=down) as server,
        Models(settings_for(server.base_url), {}, clock=clock) as models,
    ):
        aside, own = models.open("test/notes", patience=30, aside=True), models.open("test/m", patience=30)
        for _ in down:
            await fail(aside)
        assert "test/notes is failing" in str(await fail(aside))
        assert len(server.requests) == MOST_FAILURES, "it is left alone itself"
        assert (models.closed(), models.room()) == ({}, {"test/notes": 1})
        assert (await ask(own)).text == "well"


async def test_a_call_takes_about_what_it_has_of_the_tokens_of_a_minute_and_not_the_most_that_it_can_have() -> None:
    clock = FakeClock()
    notes = ModelRequest("", (user("write notes"),), input_tokens=200_000, about_tokens=50_000)
    async with (
        ScriptedServer(Script((ScriptedTurn(text="notes", delay=0.3),))) as server,
        Models(settings_for(server.base_url, tokens_per_minute=120_000), {}, clock=clock) as models,
    ):
        asked = asyncio.create_task(ask(models.open("test/m"), notes))
        limiter = wire_of(models.open("test/m")).limiter
        while not limiter._active:
            await asyncio.sleep(0.01)
        assert 20 < limiter.wait < 30
        await asked


async def test_in_the_foreground_a_wait_goes_up_to_its_cap_and_no_further() -> None:
    clock = FakeClock()
    faults = {0: Fault("status", 429, {"retry-after": "110"}), 1: Fault("status", 429, {"retry-after": "130"})}
    async with (
        ScriptedServer(Script(), faults=faults) as server,
        Models(settings_for(server.base_url), {}, clock=clock) as models,
    ):
        model = models.open("test/m")
        assert (await fail(model)).retry_after == 110
        assert (await fail(model)).retry_after == 130
        assert clock.monotonic() == pytest.approx(110)
        assert "no call is made for another 130 s" in str(await fail(model))
        assert len(server.requests) == 2


async def test_another_model_of_the_provider_is_not_held_back() -> None:
    faults = {0: Fault("status", 429, {"retry-after": "900"})}
    async with (
        ScriptedServer(Script(), faults=faults) as server,
        Models(settings_for(server.base_url), {}, clock=FakeClock()) as models,
    ):
        await fail(models.open("test/m", patience=30))
        assert (await ask(models.open("test/other", patience=30))).text == "done"


async def test_a_model_has_limits_of_its_own_before_those_of_its_provider() -> None:
    models = {"own": ModelSettings(requests_per_minute=0, concurrency=3), "none": ModelSettings(concurrency=0)}
    provider = ProviderSettings(base_url="http://h", requests_per_minute=60, concurrency=9, models=models)
    opened = Models(Settings(providers={"test": provider}), {})
    bounds = [wire_of(opened.open(f"test/{name}")).limiter._bounds for name in ("own", "none", "m")]
    assert [(each.requests_per_minute, each.concurrency) for each in bounds] == [(0, 3), (60, 0), (60, 9)]


async def test_calls_that_are_cancelled_at_any_moment_leave_no_place_taken() -> None:
    async with (
        ScriptedServer(SLOW, order="conversation", record=False) as server,
        Models(settings_for(server.base_url, concurrency=3), {}) as models,
    ):
        model = models.open("test/m")
        for moment in range(12):
            calls = [asyncio.ensure_future(ask(model)) for _ in range(12)]
            await asyncio.sleep(moment / 500)
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)
        limits = wire_of(model).limiter
        assert (limits._active, len(limits._queue)) == (0, 0)
        async with asyncio.timeout(10):
            await asyncio.gather(*(ask(model) for _ in range(9)))


async def test_tokens_that_replies_report_slow_down_those_behind() -> None:
    clock = FakeClock()
    script = Script((ScriptedTurn(text="x", usage=ScriptedUsage(50_000, 1_000)),) * 3)
    async with (
        ScriptedServer(script) as server,
        Models(settings_for(server.base_url, tokens_per_minute=60_000), {}, clock=clock) as models,
    ):
        model = models.open("test/m", patience=300)
        for _ in range(2):
            await ask(model)
        assert clock.monotonic() == pytest.approx(51_000 / 55_001 * 60, rel=0.05)
        error = await fail(models.open("test/m", patience=30))
        assert error.retry_after == pytest.approx(56, abs=3)
        assert "tokens_per_minute = 60000" in str(error)


@pytest.mark.parametrize(
    ("provider", "wire", "field"),
    [
        ("openai", "openai", "max_completion_tokens"),
        ("test", "openai", "max_tokens"),
        ("test", "anthropic", "max_tokens"),
    ],
)
async def test_a_call_may_ask_for_a_shorter_reply_than_the_model_gives(provider: str, wire: Wire, field: str) -> None:
    async with ScriptedServer(Script()) as server:
        known = {"m": ModelSettings(context_window=100_000, max_output=8_000, price=Price(1, 1))}
        settings = ProviderSettings(wire=wire, base_url=server.base_url, api_key="k", models=known)
        async with Models(Settings(providers={provider: settings}), {}) as models:
            for most in (500, 8_000, 9_000, 0):
                await ask(models.open(f"{provider}/m"), ModelRequest("", [user("go")], max_output=most))
        assert [request.body[field] for request in server.requests] == [500, 8_000, 8_000, 8_000]


async def test_a_shorter_reply_is_asked_for_where_the_model_names_no_longest() -> None:
    async with ScriptedServer(Script()) as server, model_at(server.base_url) as model:
        for most in (500, 0):
            await ask(model, ModelRequest("", [user("go")], max_output=most))
        assert [request.body.get("max_tokens") for request in server.requests] == [500, None]


async def test_a_queued_run_is_told_at_once_where_one_in_the_foreground_waits() -> None:
    clock = FakeClock()
    faults = {number: Fault("status", 429, {"retry-after": "60"}) for number in (0, 1)}
    async with (
        ScriptedServer(Script(), faults=faults) as server,
        Models(settings_for(server.base_url), {}, clock=clock) as models,
    ):
        request = ModelRequest("", [user("go")])
        queued = Replies(models.open("test/m", patience=30), RetryPolicy(park_seconds=30), clock, lambda _: None)
        with pytest.raises(ModelError, match=r"a wait of 60 s, longer than 30 \(retry\.park_seconds\)") as caught:
            await reply_to(queued, request)
        assert caught.value.retry_after == 60
        assert clock.waits == []
        clock.advance(60)
        events: list[Event] = []
        foreground = Replies(models.open("test/m"), RetryPolicy(), clock, events.append)
        assert (await reply_to(foreground, request)).text == "done"
        assert 120 <= clock.monotonic() <= 127
        assert [event.delay >= 60 for event in events if isinstance(event, ModelRetried)] == [True]
        assert len(server.requests) == 3


async def test_calls_that_are_held_back_while_a_provider_fails_are_no_attempts() -> None:
    clock, events = FakeClock(), list[Event]()
    faults = {number: Fault("status", 503) for number in range(5)}
    async with (
        ScriptedServer(Script((ScriptedTurn(text="well again"),) * 9), faults=faults) as server,
        Models(settings_for(server.base_url), {}, clock=clock) as models,
    ):
        for _ in range(5):
            await fail(models.open("test/m"))
        replies = Replies(models.open("test/m", patience=30), RetryPolicy(1, park_seconds=30), clock, events.append)
        assert (await reply_to(replies, ModelRequest("", [user("go")]))).text == "well again"
        assert len(server.requests) == 6
        assert {event.attempt for event in events if isinstance(event, ModelRetried)} == {1}


async def test_who_is_held_back_again_and_again_waits_elsewhere() -> None:
    clock = FakeClock()
    faults = {number: Fault("status", 503) for number in range(5)} | {5: Fault("stall", after=0)}
    async with (
        ScriptedServer(Script(), faults=faults) as server,
        Models(settings_for(server.base_url), {}, clock=clock) as models,
    ):
        for _ in range(5):
            await fail(models.open("test/m"))
        clock.advance(6)
        trying = asyncio.ensure_future(fail(models.open("test/m")))
        async with asyncio.timeout(20):
            while len(server.requests) < 6:
                await asyncio.sleep(0.005)
        began = clock.monotonic()
        queued = Replies(models.open("test/m", patience=30), RetryPolicy(park_seconds=30), clock, lambda _: None)
        with pytest.raises(ModelError, match="test is failing") as caught:
            await reply_to(queued, ModelRequest("", [user("go")]))
        assert caught.value.retry_after == 5
        assert 20 <= clock.monotonic() - began <= 30
        assert not trying.done()
        trying.cancel()
        await asyncio.wait([trying])
