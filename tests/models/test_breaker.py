import asyncio

import pytest

from kugetsu.config import Wire
from kugetsu.errors import MODEL_FAILURES, ModelError, ModelFailure
from kugetsu.models import Models
from kugetsu.models.breaker import MOST_FAILURES, Breaker
from kugetsu.models.limiter import Bounds, Limiter
from kugetsu.rehearsal import Script, ScriptedTurn
from kugetsu.testing import FakeClock, Fault, ScriptedServer
from models.model_lab import WIRES, ask, fail, settings_for

DOWN = ModelError("network", "test/m: the connection failed: refused")


def broken(clock: FakeClock, failures: int = MOST_FAILURES) -> Breaker:
    breaker = Breaker("test", clock)
    for _ in range(failures):
        breaker.failed(DOWN, probe=breaker.begin())
    return breaker


@pytest.mark.parametrize("kind", MODEL_FAILURES)
def test_only_failures_of_the_provider_itself_count(kind: ModelFailure) -> None:
    breaker = Breaker("test", FakeClock())
    for _ in range(MOST_FAILURES):
        breaker.failed(ModelError(kind, "x"), probe=breaker.begin())
    assert breaker.tripped == (kind in {"network", "stall", "overloaded"})


def test_a_success_in_between_begins_the_count_anew() -> None:
    breaker = broken(FakeClock(), MOST_FAILURES - 1)
    breaker.succeeded()
    breaker.failed(DOWN, probe=False)
    assert breaker.refusal() is None


def test_while_it_is_left_alone_every_call_is_told_why_and_when_to_come_back() -> None:
    error = broken(FakeClock()).refusal()
    assert error is not None
    assert error.kind == "overloaded"
    assert error.retry_after == pytest.approx(5, rel=0.11)
    told = f"test is failing; next try in {error.retry_after:.0f} s; what happened last: {DOWN.message}"
    assert str(error) == told


def test_each_try_that_fails_doubles_the_time_up_to_five_minutes() -> None:
    clock, times = FakeClock(), list[float]()
    breaker = broken(clock)
    for _ in range(40):
        times.append(breaker.wait)
        clock.advance(breaker.wait)
        breaker.failed(DOWN, probe=breaker.begin())
    assert times[:8] == pytest.approx([5, 10, 20, 40, 80, 160, 300, 300], rel=0.11)
    assert times[-1] == pytest.approx(300, rel=0.11)
    assert len(set(times)) == 40


def test_one_call_tries_and_the_others_wait_for_what_it_finds() -> None:
    clock = FakeClock()
    breaker = broken(clock)
    clock.advance(6)
    assert breaker.refusal() is None
    assert breaker.begin()
    assert breaker.refusal() is not None
    breaker.given_up(probe=True)
    assert breaker.refusal() is None
    assert breaker.begin()
    breaker.succeeded()
    assert breaker.refusal() is None
    assert not breaker.begin()


def test_once_the_try_is_answered_all_go_on_and_a_relapse_is_left_alone_for_longer() -> None:
    clock = FakeClock()
    breaker = broken(clock)
    clock.advance(6)
    assert breaker.begin()
    breaker.heard()
    assert breaker.refusal() is None
    assert not breaker.begin()
    for _ in range(MOST_FAILURES):
        assert breaker.refusal() is None
        breaker.failed(DOWN, probe=False)
    assert breaker.wait == pytest.approx(10, rel=0.11)


def test_replies_that_begin_and_break_off_are_failures_all_the_same() -> None:
    breaker = Breaker("test", FakeClock())
    for _ in range(MOST_FAILURES):
        breaker.begin()
        breaker.heard()
        breaker.failed(DOWN, probe=False)
    assert breaker.tripped


async def test_a_try_that_breaks_off_after_its_beginning_counts_once_and_holds_nobody_back() -> None:
    clock = FakeClock()
    breaker = broken(clock)
    limits = Limiter("test/m", Bounds(), breaker, clock)
    clock.advance(6)
    trying = await limits.enter(0)
    with pytest.raises(ModelError, match="test is failing"):
        await limits.enter(0)
    trying.heard()
    trying.heard()
    with await limits.enter(0) as other:
        other.ended(0)
    trying.__exit__(None, DOWN, None)
    assert breaker.refusal() is None


def test_failures_of_calls_that_began_before_change_nothing() -> None:
    clock = FakeClock()
    breaker = broken(clock)
    wait = breaker.wait
    for _ in range(20):
        breaker.failed(DOWN, probe=False)
    assert breaker.wait == wait


async def test_those_who_wait_for_any_model_of_a_provider_are_sent_away_when_it_fails() -> None:
    clock = FakeClock()
    breaker = Breaker("test", clock)
    limits = [Limiter(f"test/{name}", Bounds(concurrency=1), breaker, clock) for name in "ab"]
    with await limits[0].enter(0):
        waiting = asyncio.ensure_future(limits[0].enter(0))
        await asyncio.sleep(0)
        for _ in range(MOST_FAILURES):
            with pytest.raises(ModelError), await limits[1].enter(0):
                raise DOWN
        with pytest.raises(ModelError, match="test is failing"):
            await waiting
    assert limits[0].room(30) == 1


@pytest.mark.parametrize("wire", WIRES)
async def test_while_the_try_still_gets_its_reply_the_others_call_again(wire: Wire) -> None:
    clock = FakeClock()
    faults = {number: Fault("status", 503) for number in range(MOST_FAILURES)}
    faults[MOST_FAILURES] = Fault("stall", after=3)
    script = Script((ScriptedTurn(text="a long reply"),) * 2)
    async with (
        ScriptedServer(script, faults=faults) as server,
        Models(settings_for(server.base_url, wire), {}, clock=clock) as models,
    ):
        model = models.open("test/m")
        for _ in range(MOST_FAILURES):
            await fail(model)
        assert not (await fail(model)).asked
        clock.advance(6)
        trying = asyncio.ensure_future(ask(model))
        async with asyncio.timeout(20):
            while models.room():
                await asyncio.sleep(0.005)
        assert (await ask(model)).text == "a long reply"
        assert not trying.done()
        trying.cancel()
        await asyncio.wait([trying])
        assert (await ask(model)).text == "a long reply"


@pytest.mark.parametrize("wire", WIRES)
async def test_a_try_whose_first_event_is_a_failure_opens_it_again(wire: Wire) -> None:
    clock = FakeClock()
    faults = {number: Fault("status", 503) for number in range(MOST_FAILURES)}
    faults[MOST_FAILURES] = Fault("stream_error", after=0)
    async with (
        ScriptedServer(Script(), faults=faults) as server,
        Models(settings_for(server.base_url, wire), {}, clock=clock) as models,
    ):
        model = models.open("test/m")
        for _ in range(MOST_FAILURES):
            await fail(model)
        clock.advance(6)
        assert (await fail(model)).asked
        assert not (await fail(model)).asked
        assert len(server.requests) == MOST_FAILURES + 1


async def test_over_http_it_opens_tries_with_one_call_and_closes() -> None:
    clock = FakeClock()
    faults = {number: Fault("status", 503) for number in range(MOST_FAILURES + 1)}
    script = Script((ScriptedTurn(text="well again"),) * 20)
    async with (
        ScriptedServer(script, faults=faults) as server,
        Models(settings_for(server.base_url), {}, clock=clock) as models,
    ):
        first, second = models.open("test/m"), models.open("test/other")
        for model in (first, second, first, second, first):
            assert (await fail(model)).status == 503
        error = await fail(second)
        assert (error.kind, error.status) == ("overloaded", None)
        assert "test/m: the provider is overloaded or failing (HTTP 503)" in error.message
        assert len(server.requests) == MOST_FAILURES
        assert models.room() == {"test/m": 1, "test/other": 1}
        clock.advance(6)
        failures = await asyncio.gather(*(fail(first) for _ in range(10)))
        assert len(server.requests) == MOST_FAILURES + 1
        assert sorted({failure.status or 0 for failure in failures}) == [0, 503]
        clock.advance(12)
        assert (await ask(second)).text == "well again"
        replies = await asyncio.gather(*(ask(first) for _ in range(10)))
        assert {reply.text for reply in replies} == {"well again"}
        assert models.room() == {}
