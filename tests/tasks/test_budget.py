import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kugetsu.tasks import Account, Budget, Budgets, Spent, day_of, next_day, shared
from tasks.task_lab import NOW

FIELDS = Spent.__struct_fields__
numbers = st.integers(0, 20)
spents = st.builds(Spent, usd=numbers.map(lambda n: n / 4), tokens=numbers, turns=numbers, seconds=numbers.map(float))
budgets = st.builds(Budget, usd=numbers.map(lambda n: n / 4), tokens=numbers, turns=numbers, seconds=numbers.map(float))
accounts = st.lists(st.builds(Account, of=st.just("them"), budget=budgets, used=spents, aside=spents), max_size=2)


def values(of: Spent | Budget) -> list[float]:
    return [getattr(of, field) for field in FIELDS]


@given(spents, spents, accounts)
def test_what_is_shared_never_passes_a_budget_and_is_never_less_than_needed(
    least: Spent, more: Spent, of: list[Account]
) -> None:
    granted, hit = shared(least, least + more, of)
    for account in of:
        for limit, needed, used, aside, given_out in zip(
            values(account.budget),
            values(least),
            values(account.used),
            values(account.aside),
            values(granted or Spent()),
            strict=True,
        ):
            if granted and limit:
                assert used + aside + given_out <= limit
            if not hit and limit:
                assert used + needed <= limit
    assert not (granted and hit)
    if granted:
        assert all(a <= b <= c for a, b, c in zip(*map(values, (least, granted, least + more)), strict=True))


@given(spents, spents, accounts)
def test_what_is_refused_would_have_passed_a_budget(least: Spent, more: Spent, of: list[Account]) -> None:
    granted, hit = shared(least, least + more, of)
    over = [
        limit
        for account in of
        for limit, needed, used, aside in zip(
            values(account.budget), values(least), values(account.used), values(account.aside), strict=True
        )
        if limit and used + needed + (0 if hit else aside) > limit
    ]
    assert bool(over) == (granted is None)


def test_without_accounts_everything_is_granted() -> None:
    assert shared(Spent(), Spent(1, 2, 3, 4), []) == (Spent(1, 2, 3, 4), "")
    assert shared(Spent(), Spent(1), [Account("them", Budget(), Spent(99), Spent(99))]) == (Spent(1), "")


def test_fractions_that_do_not_add_up_to_the_last_bit_do_not_hold_up_anybody() -> None:
    assert shared(Spent(0.1), Spent(0.1), [Account("them", Budget(usd=0.3), Spent(0.1 + 0.1))]) == (Spent(0.1), "")


def test_a_refusal_names_the_budget_its_limit_and_what_was_used_up() -> None:
    _, hit = shared(Spent(0.5), Spent(1), [Account("/repo", Budget(usd=1_250), Spent(1_249.7505))])
    assert hit == (
        "today's budget of 1,250 USD for /repo has no room: 1,249.7505 USD are used up, and the next step may take 0.5 USD"
    )


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", [-1, math.inf, math.nan, -(10**400)])
def test_a_limit_that_is_none_is_refused_by_name(field: str, value: float) -> None:
    fields: dict[str, Any] = {field: value}
    with pytest.raises(ValueError, match=f"`{field}` must be 0"):
        Budget(**fields)


def test_a_budget_is_limited_when_any_part_of_it_is() -> None:
    assert not Budgets().limited
    for field in FIELDS:
        limits: dict[str, Any] = {field: 1}
        assert Budget(**limits).limited
        assert Budgets(day=Budget(**limits)).limited
        assert Budgets(repository=Budget(**limits)).limited


@given(st.floats(), st.integers(), st.integers(), st.floats())
def test_whatever_was_spent_can_be_added_up_and_stored(usd: float, tokens: int, turns: int, seconds: float) -> None:
    sound = Spent(usd, tokens, turns, seconds).sound
    assert all(0 <= value <= 10**15 for value in values(sound))
    assert msgspec.json.decode(msgspec.json.encode(sound), type=Spent) == sound
    assert sound.sound == sound


@given(spents)
def test_what_is_sound_stays_what_it_is(spent: Spent) -> None:
    assert spent.sound == spent
    assert spent + Spent() == spent


@given(st.integers(0, 4_000_000_000))
def test_the_next_day_begins_within_a_day_where_the_name_of_the_day_changes(now: int) -> None:
    until = next_day(now)
    assert 0 < until - now <= 86_400
    assert day_of(until - 1) == day_of(now) < day_of(until)


def test_days_are_named_in_utc() -> None:
    assert day_of(NOW) == "2023-11-14"
    assert (day_of(0), next_day(0)) == ("1970-01-01", 86_400)
