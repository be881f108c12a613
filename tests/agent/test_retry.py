import pytest
from hypothesis import given
from hypothesis import strategies as st

from kugetsu.agent import RetryPolicy
from kugetsu.errors import MODEL_FAILURES, RETRYABLE, ModelError, ModelFailure


@pytest.mark.parametrize("kind", MODEL_FAILURES)
def test_only_failures_that_may_pass_are_tried_again(kind: ModelFailure) -> None:
    assert (RetryPolicy().delay(ModelError(kind, "x"), 1) is not None) == (kind in RETRYABLE)


@given(st.integers(1, 50), st.floats(0, 100), st.floats(0, 1000))
def test_a_wait_grows_no_longer_than_its_bound(attempt: int, base: float, cap: float) -> None:
    delay = RetryPolicy(attempts=99, base_seconds=base, cap_seconds=cap).delay(ModelError("stall", "x"), attempt)
    assert delay is not None
    assert 0 <= delay <= min(cap, base * 2 ** (attempt - 1)) + 1e-9


def test_waits_differ_from_each_other() -> None:
    policy, error = RetryPolicy(base_seconds=10), ModelError("overloaded", "x")
    assert len({policy.delay(error, 3) for _ in range(20)}) > 15


@given(st.floats(0, 120), st.integers(1, 5))
def test_what_the_provider_asks_for_is_respected(asked: float, attempt: int) -> None:
    delay = RetryPolicy().delay(ModelError("rate_limited", "x", retry_after=asked), attempt)
    assert delay is not None
    assert asked <= delay <= max(asked * 1.1, 2.0 ** (attempt - 1)) + 1e-9


@pytest.mark.parametrize("asked", [0.0, 0.001])
def test_who_asks_for_no_wait_is_not_called_again_at_once(asked: float) -> None:
    policy, error = RetryPolicy(base_seconds=10), ModelError("rate_limited", "x", retry_after=asked)
    delays = [policy.delay(error, 3) or 0.0 for _ in range(40)]
    assert max(delays) > 5
    assert len(set(delays)) > 30


def test_a_wait_beyond_the_cap_is_not_waited_for() -> None:
    error = ModelError("rate_limited", "x", retry_after=3600)
    assert RetryPolicy(cap_seconds=120).delay(error, 1) is None


def test_attempts_are_counted() -> None:
    policy, error = RetryPolicy(attempts=3), ModelError("network", "x")
    assert [policy.delay(error, attempt) is None for attempt in (1, 2, 3)] == [False, False, True]


def test_a_call_that_was_held_back_comes_again_until_its_waits_are_too_long_together() -> None:
    policy, error = RetryPolicy(attempts=1, park_seconds=30), ModelError("overloaded", "x", retry_after=5, asked=False)
    assert policy.delay(error, 1) is not None
    assert policy.delay(error, 1, held_back=24.9) is not None
    assert policy.delay(error, 1, held_back=25.1) is None
    assert RetryPolicy(cap_seconds=120).delay(error, 1, held_back=114.9) is not None
    assert RetryPolicy(cap_seconds=120).delay(error, 1, held_back=115.1) is None


@pytest.mark.parametrize(("asked", "waited"), [(None, True), (29.0, True), (31.0, False)])
def test_who_can_wait_elsewhere_waits_here_no_longer_than_is_allowed(asked: float | None, waited: bool) -> None:
    policy, error = RetryPolicy(park_seconds=30), ModelError("rate_limited", "x", retry_after=asked)
    assert (policy.delay(error, 1) is not None) == waited


@given(st.integers(1, 20), st.floats(0, 300))
def test_a_wait_that_nobody_asked_for_is_no_longer_than_is_allowed(attempt: int, park: float) -> None:
    policy = RetryPolicy(attempts=99, base_seconds=10, park_seconds=park)
    delay = policy.delay(ModelError("stall", "x"), attempt)
    assert delay is not None
    assert delay <= min(park, 120)
