"""How much is sent to one target at a time, and when it is left alone."""

from kugetsu.gateway.notifications.answers import Attempt
from kugetsu.gateway.notifications.lanes import MOST_AT_ONCE, Held, Lane, backoff
from kugetsu.protocols import Delivery

FINE = Attempt(state="delivered")
DOWN = Attempt(state="pending", down=True)


def held(number: int, until: float = 1000.0) -> Held:
    return Held(Delivery(id=number, task="a", target="x", event="e", payload="", created_at=0, expires_at=0), until)


def test_a_target_gets_a_few_at_a_time() -> None:
    lane = Lane()
    for number in range(20):
        lane.add(held(number))
    begun = [lane.next(0.0, 10.0) for _ in range(20)]
    assert [one.delivery.id for one in begun if one] == list(range(MOST_AT_ONCE))
    assert lane.full(0.0)
    lane.ended(FINE, 0.0)
    assert lane.next(0.0, 10.0) is not None


def test_one_that_is_down_rests_longer_each_time_and_is_tried_with_one() -> None:
    lane, now = Lane(), 0.0
    rests = []
    for number in range(8):
        lane.add(held(number, until=now + 1000))
        assert lane.next(now, 10.0)
        lane.ended(DOWN, now)
        assert lane.full(now)
        rest = next(seconds for seconds in range(100) if not lane.full(now + seconds))
        rests.append(rest)
        now += rest
        assert lane.room(now) == 1
    assert rests == [1, 2, 4, 8, 16, 30, 30, 30]
    lane.add(held(99, until=now + 1000))
    assert lane.next(now, 10.0)
    lane.ended(FINE, now)
    assert (lane.room(now), lane.down) == (MOST_AT_ONCE, False)


def test_it_rests_for_as_long_as_it_asks() -> None:
    lane = Lane()
    lane.add(held(1))
    lane.next(0.0, 10.0)
    lane.ended(Attempt(state="pending", down=True, retry_after=120.0), 0.0)
    assert lane.full(119.0)
    assert not lane.full(120.0)


def test_what_is_ours_for_too_short_a_time_is_left_to_be_taken_again() -> None:
    lane = Lane()
    lane.add(held(1, until=5.0))
    lane.add(held(2, until=50.0))
    begun = lane.next(0.0, 10.0)
    assert begun is not None
    assert begun.delivery.id == 2
    lane.ended(None, 0.0)
    assert not lane.holds()


def test_what_was_taken_again_waits_once() -> None:
    lane = Lane()
    lane.add(held(1))
    lane.add(held(1, until=2000.0))
    assert lane.next(0.0, 10.0)
    assert lane.next(0.0, 10.0) is None


def test_the_time_to_the_next_attempt_doubles_up_to_ten_minutes() -> None:
    waits = [backoff(number, DOWN) for number in range(40)]
    assert 0.8 <= waits[0] <= 1.2
    assert 6.4 <= waits[3] <= 9.6
    assert 480 <= waits[-1] <= 720
    assert backoff(0, Attempt(state="pending", retry_after=90.0)) == 90.0
    assert backoff(30, Attempt(state="pending", unready=True)) <= 72
