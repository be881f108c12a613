import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kugetsu.protocols import Clock
from kugetsu.testing import FakeClock


async def test_a_wait_moves_the_time_and_takes_none() -> None:
    clock: Clock = FakeClock(start=1000.0)
    async with asyncio.timeout(1):
        await clock.sleep(86_400)
    assert (clock.now(), clock.monotonic()) == (87_400.0, 86_400.0)


@pytest.mark.parametrize("seconds", [0.0, -5.0])
async def test_no_time_is_waited_for_but_others_get_their_turn(seconds: float) -> None:
    clock, seen = FakeClock(), list[str]()

    async def other() -> None:
        seen.append("other")

    async with asyncio.TaskGroup() as group:
        group.create_task(other())
        await clock.sleep(seconds)
        seen.append("slept")
    assert seen == ["other", "slept"]
    assert clock.monotonic() == 0


@given(st.lists(st.lists(st.integers(0, 9), max_size=4), max_size=4))
async def test_sleepers_wake_in_the_order_of_their_ends_each_at_its_time(plans: list[list[int]]) -> None:
    clock, woken = FakeClock(), list[float]()

    async def follow(plan: list[int]) -> None:
        end = 0.0
        for seconds in plan:
            end += seconds
            await clock.sleep(seconds)
            assert clock.monotonic() == end
            woken.append(end)

    async with asyncio.TaskGroup() as group:
        for plan in plans:
            group.create_task(follow(plan))
    assert woken == sorted(woken)
    assert clock.monotonic() == max((sum(plan) for plan in plans), default=0)


async def test_by_hand_time_stands_still_until_it_is_moved() -> None:
    clock, woken = FakeClock(auto=False), list[int]()

    async def sleeper(seconds: int) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    async with asyncio.TaskGroup() as group:
        for seconds in (3, 1, 2):
            group.create_task(sleeper(seconds))
        await asyncio.sleep(0.01)
        assert woken == []
        clock.advance(2)
        await asyncio.sleep(0.01)
        assert woken == [1, 2]
        clock.advance(1)
    assert woken == [1, 2, 3]


async def test_a_cancelled_wait_moves_no_time() -> None:
    clock = FakeClock(auto=False)
    waiting = asyncio.ensure_future(clock.sleep(100))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    clock.advance(1)
    assert clock.monotonic() == 1
    assert clock.waits == [100]


async def test_a_task_that_was_woken_comes_to_rest_before_time_moves_on() -> None:
    clock = FakeClock()
    seen: list[float] = []

    async def busy() -> None:
        await clock.sleep(1)
        for _ in range(20):
            await asyncio.sleep(0)
        seen.append(clock.monotonic())

    async with asyncio.TaskGroup() as group:
        group.create_task(busy())
        group.create_task(clock.sleep(3600))
    assert seen == [1]
