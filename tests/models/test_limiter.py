import asyncio
import random

import pytest

from kugetsu.errors import ModelError
from kugetsu.models.breaker import Breaker
from kugetsu.models.limiter import Bounds, Limiter, Patience
from kugetsu.testing import FakeClock

PATIENT = Patience()
QUEUED = Patience(30, 30)


def limiter(clock: FakeClock | None = None, requests: int = 0, tokens: int = 0, concurrency: int = 0) -> Limiter:
    clock = clock or FakeClock()
    return Limiter("test/m", Bounds(requests, tokens, concurrency), Breaker("test", clock), clock)


async def call(
    limits: Limiter,
    seconds: float = 0.0,
    *,
    clock: FakeClock | None = None,
    tokens: int = 0,
    used: int = 0,
    error: ModelError | None = None,
    patience: Patience = PATIENT,
) -> float:
    """Make a call that takes so long, and give when it began."""
    clock = clock or FakeClock()
    with await limits.enter(tokens, patience) as entered:
        began = clock.monotonic()
        await (clock.sleep(seconds) if seconds else asyncio.sleep(0))
        if error:
            raise error
        entered.ended(used)
    return began


async def refusal(limits: Limiter, patience: Patience = QUEUED) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await limits.enter(0, patience)
    return caught.value


async def test_calls_begin_in_the_order_they_came_and_never_too_many_at_once() -> None:
    limits, order, active, most = limiter(concurrency=3), list[int](), 0, 0

    async def one(number: int) -> None:
        nonlocal active, most
        with await limits.enter(0):
            order.append(number)
            active += 1
            most = max(most, active)
            await asyncio.sleep(number * 37 % 11 / 2000)
            active -= 1

    async with asyncio.TaskGroup() as group:
        for number in range(60):
            group.create_task(one(number))
    assert order == list(range(60))
    assert most == 3


async def test_calls_of_a_minute_are_spread_over_it() -> None:
    clock = FakeClock()
    limits = limiter(clock, requests=12)
    starts = sorted(await asyncio.gather(*(call(limits, clock=clock) for _ in range(25))))
    assert starts[0] == 0
    assert starts == pytest.approx([5.0 * place for place in range(25)])


async def test_tokens_of_a_minute_are_counted_before_the_call_and_put_right_after_it() -> None:
    clock = FakeClock()
    limits = limiter(clock, tokens=12_000)  # 1,000 at once, and about 183 a second
    assert await call(limits, clock=clock, tokens=1000, used=400) == 0
    assert await call(limits, clock=clock, tokens=600, used=600) == 0
    assert await call(limits, clock=clock, tokens=1000, used=3000) == pytest.approx(1000 / 183.35, rel=0.01)
    waited = clock.monotonic()
    assert await call(limits, clock=clock, tokens=100, used=100) - waited == pytest.approx(2100 / 183.35, rel=0.01)


async def test_a_call_that_nobody_counted_is_taken_for_a_usual_one() -> None:
    clock = FakeClock()
    limits = limiter(clock, tokens=12_000)
    await call(limits, clock=clock, used=1000)
    assert await call(limits, clock=clock) == pytest.approx(1000 / 183.35, rel=0.01)


async def test_tokens_of_a_call_that_the_provider_refused_were_not_used() -> None:
    clock = FakeClock()
    limits = limiter(clock, tokens=12_000)
    with pytest.raises(ModelError):
        await call(limits, tokens=1000, error=ModelError("bad_request", "no", status=400))
    assert await call(limits, clock=clock, tokens=1000) == 0


async def test_a_cancelled_waiter_gives_its_place_to_the_next() -> None:
    limits = limiter(concurrency=1)
    with await limits.enter(0):
        first, second = (asyncio.ensure_future(call(limits)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
    await second
    assert first.cancelled()
    assert limits.wait == 0


async def test_the_next_goes_on_when_the_first_is_cancelled_while_it_watches_the_time() -> None:
    clock = FakeClock(auto=False)
    limits = limiter(clock, requests=1)
    await call(limits)
    first, second = (asyncio.ensure_future(call(limits, clock=clock)) for _ in range(2))
    for _ in range(5):
        await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    for _ in range(5):
        await asyncio.sleep(0)
    clock.advance(60)
    assert await second == 60


async def test_storms_of_cancels_leave_no_place_taken() -> None:
    limits, dice = limiter(concurrency=5), random.Random(7)  # noqa: S311 - shuffles a test

    async def one() -> None:
        with await limits.enter(0):
            await asyncio.sleep(dice.random() / 100)
            if dice.random() < 0.3:
                raise ModelError("bad_request", "no")

    for _ in range(5):
        calls = [asyncio.ensure_future(one()) for _ in range(200)]
        for _ in range(10):
            await asyncio.sleep(0.002)
            for doomed in dice.sample(calls, 30):
                doomed.cancel()
        for doomed in calls:
            if dice.random() < 0.5:
                doomed.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    assert limits._active == 0
    assert not limits._queue
    async with asyncio.timeout(1):
        await asyncio.gather(*(call(limits) for _ in range(20)))


async def test_whatever_breaks_a_call_gives_its_place_back() -> None:
    limits = limiter(concurrency=1)
    for error in (ValueError("x"), ModelError("malformed", "x"), asyncio.CancelledError()):
        with pytest.raises(type(error)):  # noqa: SIM117 - the call is inside
            with await limits.enter(0):
                raise error
    async with asyncio.timeout(1):
        await call(limits)


async def test_until_a_known_time_nobody_calls_and_those_who_cannot_wait_are_told_at_once() -> None:
    clock = FakeClock()
    limits = limiter(clock)
    limited = ModelError("rate_limited", "test/m: rate limited (HTTP 429)", retry_after=3600, status=429)
    with pytest.raises(ModelError):
        await call(limits, error=limited)
    error = await refusal(limits)
    assert error.kind == "rate_limited"
    assert error.retry_after == 3600
    assert str(error) == "test/m: rate limited (HTTP 429); no call is made for another 3600 s"
    assert limits.wait == 3600
    assert clock.waits == []
    assert await call(limits, clock=clock) == 3600


async def test_a_short_block_is_waited_for_in_the_order_of_arrival() -> None:
    clock, order = FakeClock(), list[int]()
    limits = limiter(clock)

    async def one(number: int) -> None:
        await call(limits, patience=QUEUED)
        order.append(number)

    with pytest.raises(ModelError):
        await call(limits, error=ModelError("overloaded", "busy", retry_after=20, status=529))
    await asyncio.gather(*(one(number) for number in range(20)))
    assert clock.monotonic() == 20
    assert order == list(range(20))


async def test_those_in_the_queue_are_sent_away_when_a_block_comes() -> None:
    clock = FakeClock(auto=False)
    limits = limiter(clock, concurrency=1)
    entered = await limits.enter(0)
    waiting = [asyncio.ensure_future(call(limits, patience=QUEUED)) for _ in range(5)]
    patient = asyncio.ensure_future(call(limits, clock=clock))
    await asyncio.sleep(0)
    entered.__exit__(None, ModelError("rate_limited", "enough", retry_after=100), None)
    errors = await asyncio.gather(*waiting, return_exceptions=True)
    assert [error.retry_after for error in errors if isinstance(error, ModelError)] == [100] * 5
    for _ in range(5):
        await asyncio.sleep(0)
    clock.advance(100)
    assert await patient == 100


async def test_a_queue_that_is_too_long_is_not_joined_by_those_who_could_wait_elsewhere() -> None:
    clock = FakeClock(auto=False)
    limits = limiter(clock, concurrency=2)
    with await limits.enter(0) as entered:
        clock.advance(10)
        entered.ended(0)
    calls = [asyncio.ensure_future(call(limits, 10, clock=clock)) for _ in range(10)]
    await asyncio.sleep(0)
    error = await refusal(limits)
    assert error.kind == "rate_limited"
    assert error.retry_after == pytest.approx(45)
    assert "2 calls are under way and 8 wait" in str(error)
    assert "concurrency = 2" in str(error)
    assert limits.wait == pytest.approx(45)
    assert limits.room(30) == 8
    for each in calls:
        each.cancel()
    await asyncio.wait(calls)
    assert limits.wait == 0


async def test_those_at_the_end_are_sent_away_when_calls_turn_out_to_be_slow() -> None:
    clock = FakeClock()
    limits = limiter(clock, concurrency=1)
    calls = [call(limits, 20, clock=clock, patience=QUEUED) for _ in range(4)]
    done = await asyncio.gather(*calls, return_exceptions=True)
    assert [began for began in done if isinstance(began, float)] == [0, 20, 40]
    assert [error.retry_after for error in done if isinstance(error, ModelError)] == [pytest.approx(40)]


async def test_room_is_what_the_rates_keep_busy() -> None:
    assert limiter().room(30) == 0
    assert limiter(requests=60).room(30) == 30
    assert limiter(requests=1).room(30) == 1
    clock = FakeClock()
    limits = limiter(clock, tokens=60_000)
    await call(limits, 5, clock=clock, used=1000)
    assert limits.room(30) == 35
