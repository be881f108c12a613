from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kugetsu.tasks import AGEING_SECONDS, MOST_PRIORITY, Outcome, OutcomeClass, Requeueing, rank, retry_class
from tasks.task_lab import NOW, a_record, a_task

priorities = st.integers(-MOST_PRIORITY, MOST_PRIORITY)
moments = st.integers(0, 10**9).map(float)


@given(moments, priorities, priorities)
def test_of_two_that_came_at_once_the_higher_priority_goes_first(at: float, one: int, other: int) -> None:
    assert (rank(at, one) < rank(at, other)) == (one > other)


@given(moments, priorities, priorities, st.floats(0, 100_000))
def test_a_task_is_overtaken_only_by_higher_ones_that_came_soon_enough_after_it(
    at: float, mine: int, others: int, later: float
) -> None:
    overtaken = rank(at + later, others) < rank(at, mine)
    assert not overtaken or (others > mine and later < (others - mine) * AGEING_SECONDS)


@given(moments, priorities, priorities)
def test_after_the_stated_time_nothing_new_goes_before_a_task(at: float, mine: int, others: int) -> None:
    bound = 2 * MOST_PRIORITY * AGEING_SECONDS
    assert rank(at + bound, others) >= rank(at, mine)


def test_the_rank_of_a_record_follows_its_own_priority_not_that_of_the_submission() -> None:
    record = a_record(task=a_task(priority=3), priority=5, queued_at=1000.0)
    assert record.rank == rank(1000.0, 5)


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ("rate_limited overloaded", "capacity"),
        ("network stall malformed idle_time workspace", "retryable"),
        ("authentication bad_request not_found quota context_overflow refused", "permanent"),
        ("turn_limit token_limit money_limit wall_time check_failed internal poisonous expired", "permanent"),
        ("loop budget", "permanent"),
    ],
)
def test_each_failure_says_what_another_try_costs(kinds: str, expected: str) -> None:
    known = {name for group in get_args(OutcomeClass) for name in get_args(group) or (group,)}
    for kind in kinds.split():
        assert kind in known
        assert retry_class(kind) == expected  # type: ignore[arg-type]  # a member of the union, see above


def test_without_patience_a_lack_of_capacity_is_the_end() -> None:
    fate = Requeueing().fate(a_task(attempts=5), Outcome("overloaded", "busy"), attempts=0, runs=1, waited=0)
    assert fate.again_in is None


@given(runs=st.integers(1, 1000), waited=st.floats(0, 99.9), patience=st.floats(100, 10_000))
def test_waiting_for_capacity_costs_no_attempt_and_never_outlasts_the_patience(
    runs: int, waited: float, patience: float
) -> None:
    task = a_task(patience_seconds=patience)
    fate = Requeueing().fate(task, Outcome("rate_limited", "slow down"), attempts=0, runs=runs, waited=waited)
    assert fate.attempts == 0
    assert fate.again_in is not None
    assert 0 <= fate.again_in <= 600
    assert waited + fate.again_in <= patience + 1e-6
    assert fate.parked


@given(st.floats(0.01, 100_000), st.sampled_from(["rate_limited", "overloaded"]))
def test_a_known_time_of_capacity_is_waited_for_and_a_little_longer(seconds: float, kind: OutcomeClass) -> None:
    outcome = Outcome(kind, "slow down", until=NOW + seconds)
    task = a_task(patience_seconds=1_000_000)
    fate = Requeueing().fate(task, outcome, attempts=1, runs=1, waited=0, now=NOW)
    assert (fate.attempts, fate.parked) == (1, True)
    assert fate.again_in is not None
    wait = outcome.until - NOW  # as far as the clock can tell
    assert wait <= fate.again_in <= wait + min(max(2.0, 0.1 * wait), 60.0)


def test_not_all_come_back_at_the_moment_at_which_there_is_capacity_again() -> None:
    outcome = Outcome("rate_limited", "slow down", until=NOW + 100)
    task = a_task(patience_seconds=10_000)
    waits = [
        Requeueing().fate(task, outcome, attempts=0, runs=1, waited=0, now=NOW).again_in or 0.0 for _ in range(400)
    ]
    # Over the whole ten seconds: of 400 throws, none in the first or the last second has a chance of 1 in 10^18.
    assert 100 <= min(waits) < 101
    assert 109 < max(waits) <= 110


def test_a_known_time_after_the_end_of_the_patience_is_not_waited_for() -> None:
    outcome = Outcome("rate_limited", "slow down", until=NOW + 5_000)
    fate = Requeueing().fate(a_task(patience_seconds=60), outcome, attempts=0, runs=1, waited=20, now=NOW)
    assert (fate.again_in, fate.parked) == (40, True)
    fate = Requeueing().fate(a_task(patience_seconds=60), outcome, attempts=0, runs=2, waited=60, now=NOW)
    assert (fate.attempts, fate.again_in, fate.parked) == (1, None, False)


def test_a_time_that_is_over_is_no_time() -> None:
    outcome = Outcome("overloaded", "busy", until=NOW - 5)
    task = a_task(patience_seconds=10_000)
    waits = [Requeueing().fate(task, outcome, attempts=0, runs=1, waited=0, now=NOW).again_in for _ in range(50)]
    assert all(wait is not None and 0 <= wait <= 10 for wait in waits)


def test_what_counts_as_a_failure_is_not_parked() -> None:
    outcome = Outcome("network", "cut", until=NOW + 60)
    fate = Requeueing().fate(a_task(attempts=5), outcome, attempts=0, runs=1, waited=0, now=NOW)
    assert (fate.attempts, fate.parked) == (1, False)


def test_when_the_patience_is_over_a_lack_of_capacity_is_the_end() -> None:
    task = a_task(patience_seconds=60, attempts=3)
    fate = Requeueing().fate(task, Outcome("rate_limited", "slow down"), attempts=0, runs=4, waited=60)
    assert (fate.attempts, fate.again_in) == (1, None)


@given(st.integers(1, 50), st.integers(0, 60))
def test_failures_that_may_pass_are_tried_as_often_as_the_task_allows(allowed: int, before: int) -> None:
    fate = Requeueing().fate(
        a_task(attempts=allowed), Outcome("network", "cut"), attempts=before, runs=before + 1, waited=0
    )
    assert fate.attempts == before + 1
    assert (fate.again_in is not None) == (fate.attempts < allowed)


def test_a_permanent_failure_is_the_end_whatever_attempts_are_left() -> None:
    fate = Requeueing().fate(a_task(attempts=9), Outcome("authentication", "no"), attempts=0, runs=1, waited=0)
    assert fate.again_in is None


@pytest.mark.parametrize(
    ("before", "longest"), [(0, 10.0), (1, 20.0), (2, 40.0), (5, 320.0), (6, 600.0), (5000, 600.0)]
)
def test_the_wait_doubles_with_each_attempt_up_to_the_cap_with_full_jitter(before: int, longest: float) -> None:
    waits = [
        Requeueing()
        .fate(a_task(attempts=10_000), Outcome("network", "cut"), attempts=before, runs=1, waited=0)
        .again_in
        for _ in range(400)
    ]
    known = [wait for wait in waits if wait is not None]
    assert len(known) == 400
    assert all(0 <= wait <= longest for wait in known)
    # Over the whole range: of 400 throws, none in the lowest or the highest tenth has a chance of 1 in 10^18.
    assert min(known) < longest * 0.1
    assert max(known) > longest * 0.9
