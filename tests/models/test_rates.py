import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kugetsu.models.bucket import Bucket
from kugetsu.models.window import Window


@given(st.integers(1, 300), st.lists(st.floats(0, 90), max_size=30))
def test_no_sixty_seconds_see_more_calls_than_a_minute_allows(per_minute: int, pauses: list[float]) -> None:
    bucket, now, starts = Bucket(per_minute, 0.0), 0.0, list[float]()
    for pause in pauses:
        now += pause
        for _ in range(20):
            now += bucket.wait(1, now)
            bucket.take(1, now)
            starts.append(now)
    for place, start in enumerate(starts):
        assert sum(start <= other < start + 60 - 1e-3 for other in starts[place:]) <= per_minute


@given(st.integers(1, 1000))
def test_a_steady_stream_gets_nearly_all_of_what_a_minute_allows(per_minute: int) -> None:
    bucket, now = Bucket(per_minute, 0.0), 0.0
    for _ in range(per_minute * 10):
        now += bucket.wait(1, now)
        bucket.take(1, now)
    assert now <= 600 / 0.9 + 60


@given(st.integers(1, 100_000), st.floats(0, 1e6), st.floats(0, 1e6))
def test_whoever_waits_as_long_as_was_said_need_not_wait_again(per_minute: int, amount: float, taken: float) -> None:
    bucket = Bucket(per_minute, 1e5)
    bucket.take(taken, 1e5)
    wait = bucket.wait(amount, 1e5)
    assert bucket.wait(amount, 1e5 + wait) == 0


def test_an_amount_above_the_bucket_goes_when_it_is_full_and_is_paid_for_afterwards() -> None:
    bucket = Bucket(1200, 0.0)
    assert bucket.wait(5000, 0.0) == 0
    bucket.take(5000, 0.0)
    assert bucket.wait(1, 0.0) == pytest.approx(4901 / 1101 * 60)


def test_what_was_not_used_comes_back_and_never_fills_the_bucket_above_its_rim() -> None:
    bucket = Bucket(1200, 0.0)
    bucket.take(100, 0.0)
    bucket.give(60)
    assert bucket.wait(60, 0.0) == 0
    bucket.give(9999)
    assert bucket.wait(100, 0.0) == 0
    assert bucket.wait(100, 0.0, ahead=100) > 0


def test_calls_that_were_too_many_together_halve_their_number_once() -> None:
    window = Window()
    for active in range(50, 5, -1):
        window.shrink(0, active)
    assert window.limit == 25
    window.shrink(1, 20)
    assert window.limit == 10


def test_a_call_that_was_alone_says_nothing_of_how_many_there_may_be() -> None:
    window = Window()
    window.shrink(0, 1)
    assert window.limit == math.inf
    window.shrink(0, 20)
    window.shrink(1, 1)
    assert window.limit == 5


@given(st.lists(st.booleans()), st.integers(0, 5))
def test_there_is_always_room_for_one_call_and_never_for_more_than_is_allowed(went_well: list[bool], most: int) -> None:
    window = Window(most)
    for well in went_well:
        if well:
            window.grow()
        else:
            window.shrink(window.epoch, 3)
        assert 1 <= window.limit <= (most or math.inf)
        assert window.limit in {math.inf, int(min(window.limit, 1e9))}


def test_after_a_number_of_successes_one_more_is_tried() -> None:
    window = Window()
    window.shrink(0, 4)
    limits = []
    for _ in range(30):
        window.grow()
        limits.append(window.limit)
    assert limits == [2] * 9 + [3] * 10 + [4] * 10 + [5]
