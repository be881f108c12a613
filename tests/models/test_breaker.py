import asyncio

import pytest

from kugetsu.errors import MODEL_FAILURES, ModelError, ModelFailure
from kugetsu.models import Models
from kugetsu.models.breaker import MOST_FAILURES, Breaker
from kugetsu.models.limiter import Bounds, Limiter
from kugetsu.rehearsal import Script, ScriptedTurn
from kugetsu.testing import FakeClock, Fault, ScriptedServer
from models.model_lab import ask, fail, settings_for

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
