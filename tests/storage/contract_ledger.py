"""The ledger: what was used up, what is set aside, and budgets that nobody passes."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from kugetsu.errors import LeaseLostError, RecordError
from kugetsu.events import Noted
from kugetsu.protocols import Claim, Reserved, Spending
from kugetsu.tasks import Budget, Budgets, Cancel, Spent, day_of, next_day
from storage.store_lab import HEARD, Lab
from tasks.task_lab import an_ending

TEN = Budgets(day=Budget(usd=10))
STEP = Spent(usd=1, tokens=1_000, turns=1, seconds=8)

ENDS: dict[str, Callable[[Lab, Claim], Awaitable[object]]] = {
    "settled": lambda lab, claim: lab.settle(claim, "completed"),
    "halted": lambda lab, claim: lab.settle(claim, "paused"),
    "reaped": lambda lab, _: lab.die(),
    "expired": lambda lab, _: lab.expire(),
    "given back": lambda lab, _: lab.store.retire("w"),
    "taken by another": lambda lab, _: _taken_over(lab),
}


async def _taken_over(lab: Lab) -> None:
    await lab.die()
    await lab.running("a", worker="w3")


async def ask(lab: Lab, claim: Claim, usd: float, *, least: float | None = None, budgets: Budgets = TEN) -> Reserved:
    return await lab.store.reserve(claim.lease, Spent(usd if least is None else least), Spent(usd), budgets)


async def spend(lab: Lab, claim: Claim, usd: float) -> None:
    await lab.store.append(claim.lease, [], spent=Spent(usd))


async def today(lab: Lab) -> list[Spending]:
    return await lab.store.spending(day_of(lab.now))


class LedgerContract:
    """Append and settle with what was spent, reserve, spending."""

    # What was used up.

    async def test_nothing_was_used_up_in_the_beginning(self, lab: Lab) -> None:
        await lab.running()
        assert await today(lab) == []
        for day in ("", "yesterday", "'", "\0", "\udcff"):
            assert await lab.store.spending(day) == []

    async def test_what_runs_use_up_is_added_up_by_repository(self, lab: Lab) -> None:
        one, two, other = await lab.running("a"), await lab.running("b"), await lab.running("c", repo="/other")
        for claim in (one, two, other, one):
            await lab.store.append(claim.lease, [HEARD], spent=STEP)
        day = day_of(lab.now)
        assert await today(lab) == [
            Spending(day, "/other", STEP),
            Spending(day, "/repo", Spent(usd=3, tokens=3_000, turns=3, seconds=24)),
        ]

    async def test_what_a_run_used_up_at_its_end_counts(self, lab: Lab) -> None:
        claim = await lab.running()
        await lab.store.settle(claim.lease, an_ending("completed"), spent=STEP)
        assert [found.spent for found in await today(lab)] == [STEP]

    async def test_what_comes_with_the_last_entries_counts_once(self, lab: Lab) -> None:
        claim = await lab.running()
        await lab.store.settle(claim.lease, an_ending("completed"), entries=[HEARD], spent=STEP)
        assert [found.spent for found in await today(lab)] == [STEP]

    async def test_each_day_is_counted_by_itself(self, lab: Lab) -> None:
        claim = await lab.running()
        await spend(lab, claim, 1)
        first = day_of(lab.now)
        lab.clock.advance(next_day(lab.now) - lab.now - 1)
        await spend(lab, claim, 2)
        lab.clock.advance(1)
        await spend(lab, claim, 4)
        assert [found.spent.usd for found in await lab.store.spending(first)] == [3]
        assert [(found.day, found.spent.usd) for found in await today(lab)] == [(day_of(lab.now), 4)]

    async def test_a_repository_is_the_same_whatever_secret_its_address_has(self, lab: Lab) -> None:
        for name in ("one", "two"):
            claim = await lab.running(name, repo=f"https://user:{name}@host/x.git")
            await spend(lab, claim, 1)
        (found,) = await today(lab)
        assert (found.repo, found.spent.usd) == ("https://***@host/x.git", 2)

    async def test_what_was_used_up_stays_when_the_run_is_over_or_lost(self, lab: Lab) -> None:
        claim = await lab.running()
        await spend(lab, claim, 1)
        await lab.die()
        with pytest.raises(LeaseLostError):
            await spend(lab, claim, 2)
        with pytest.raises(LeaseLostError):
            await lab.store.settle(claim.lease, an_ending("completed"), spent=STEP)
        assert [found.spent.usd for found in await today(lab)] == [1]

    async def test_an_append_that_is_refused_counts_nothing(self, lab: Lab) -> None:
        claim = await lab.running()
        await lab.store.append(claim.lease, [], events=[Noted(task="a", seq=3, message="hm")])
        with pytest.raises(RecordError):
            await lab.store.append(claim.lease, [], events=[Noted(task="a", seq=3, message="hm")], spent=STEP)
        assert await today(lab) == []

    async def test_what_is_no_amount_counts_as_nothing_and_stops_no_run(self, lab: Lab) -> None:
        claim = await lab.running()
        for strange in (Spent(usd=float("nan")), Spent(usd=-1, tokens=-5, turns=-1, seconds=float("-inf"))):
            await lab.store.append(claim.lease, [HEARD], spent=strange)
        await lab.store.append(claim.lease, [HEARD], spent=Spent(usd=float("inf"), tokens=10**30))
        (found,) = await today(lab)
        assert found.spent == Spent(usd=10**15, tokens=10**15)

    # What is set aside.

    async def test_without_a_budget_everything_is_granted(self, lab: Lab) -> None:
        claim = await lab.running()
        assert await lab.store.reserve(claim.lease, Spent(), STEP, Budgets()) == Reserved(STEP)

    async def test_a_wish_without_measure_is_met_with_what_there_is(self, lab: Lab) -> None:
        claim = await lab.running()
        most = Spent(usd=float("inf"), tokens=10**30, seconds=float("nan"))
        reserved = await lab.store.reserve(claim.lease, Spent(usd=float("nan"), turns=-1), most, TEN)
        assert reserved.granted == Spent(usd=10, tokens=10**15)

    async def test_what_is_set_aside_is_no_longer_there_for_others(self, lab: Lab) -> None:
        one, two = await lab.running("a"), await lab.running("b", worker="w2")
        assert (await ask(lab, one, 6)).granted == Spent(6)
        assert (await ask(lab, two, 4, least=1)).granted == Spent(4)
        assert await ask(lab, await lab.running("c"), 1) == Reserved()

    async def test_a_remainder_that_others_leave_for_the_moment_is_waited_out(self, lab: Lab) -> None:
        one, two = await lab.running("a"), await lab.running("b", worker="w2")
        await ask(lab, one, 6)
        assert await ask(lab, two, 6, least=1) == Reserved()
        await spend(lab, one, 5)
        assert (await ask(lab, two, 6, least=1)).granted == Spent(5)

    async def test_a_second_reservation_takes_the_place_of_the_first(self, lab: Lab) -> None:
        claim = await lab.running()
        for _ in range(3):
            assert (await ask(lab, claim, 8)).granted == Spent(8)
        assert (await ask(lab, await lab.running("b"), 2)).granted == Spent(2)

    async def test_a_reservation_that_is_refused_leaves_none(self, lab: Lab) -> None:
        one, two = await lab.running("a"), await lab.running("b")
        await ask(lab, one, 5)
        assert (await ask(lab, two, 5)).granted is not None
        assert (await ask(lab, one, 6)).granted is None
        assert (await ask(lab, two, 10)).granted == Spent(10)

    async def test_what_was_not_needed_is_free_once_the_run_says_what_it_used_up(self, lab: Lab) -> None:
        one, two = await lab.running("a"), await lab.running("b")
        await ask(lab, one, 9)
        await lab.store.append(one.lease, [HEARD])
        assert (await ask(lab, two, 9)).granted is None
        await spend(lab, one, 1)
        assert (await ask(lab, two, 9)).granted == Spent(9)

    async def test_a_run_that_used_up_nothing_gives_back_what_it_had_set_aside(self, lab: Lab) -> None:
        one, two = await lab.running("a"), await lab.running("b")
        await ask(lab, one, 9)
        await lab.store.append(one.lease, [], spent=Spent())
        assert (await ask(lab, two, 9)).granted == Spent(9)

    @pytest.mark.parametrize("end", ENDS)
    async def test_what_a_run_has_set_aside_ends_with_it(self, lab: Lab, end: str) -> None:
        other = await lab.running("b", worker="other")
        claim = await lab.running("a")
        await ask(lab, claim, 9)
        await lab.store.control("b", Cancel())
        assert (await ask(lab, other, 9)).granted is None
        await ENDS[end](lab, claim)
        assert (await ask(lab, other, 9)).granted == Spent(9)

    async def test_a_run_that_lost_its_task_sets_nothing_aside(self, lab: Lab) -> None:
        claim = await lab.running()
        await lab.die()
        with pytest.raises(LeaseLostError):
            await ask(lab, claim, 9)
        assert (await ask(lab, await lab.running("b"), 9)).granted == Spent(9)

    # Budgets.

    async def test_a_budget_that_is_used_up_says_so_with_its_limit_and_until_when(self, lab: Lab) -> None:
        claim = await lab.running()
        await spend(lab, claim, 9.5)
        reserved = await ask(lab, claim, 2, least=0.75)
        assert reserved.granted is None
        assert "10 USD for all tasks together" in reserved.hit
        assert "9.5 USD" in reserved.hit
        assert "0.75 USD" in reserved.hit
        assert reserved.until == next_day(lab.now)
        lab.clock.advance(reserved.until - lab.now)
        assert (await ask(lab, claim, 2)).granted == Spent(2)

    async def test_what_is_left_is_granted_to_the_last_bit(self, lab: Lab) -> None:
        claim = await lab.running()
        await spend(lab, claim, 9)
        assert (await ask(lab, claim, 5, least=1)).granted == Spent(1)

    @pytest.mark.parametrize(
        ("budget", "hit"),
        [
            (Budget(usd=2), "2 USD"),
            (Budget(tokens=2_000), "2,000 tokens"),
            (Budget(turns=2), "2 turns"),
            (Budget(seconds=16), "16 seconds"),
        ],
    )
    @pytest.mark.parametrize("of", ["day", "repository"])
    async def test_every_field_of_every_budget_counts(self, lab: Lab, budget: Budget, hit: str, of: str) -> None:
        budgets = Budgets(**{of: budget})
        claim = await lab.running()
        for _ in range(2):
            assert (await lab.store.reserve(claim.lease, STEP, STEP, budgets)).granted == STEP
            await lab.store.append(claim.lease, [], spent=STEP)
        reserved = await lab.store.reserve(claim.lease, STEP, STEP, budgets)
        assert reserved.granted is None
        assert hit in reserved.hit
        assert ("/repo" in reserved.hit) == (of == "repository")

    async def test_the_budget_of_a_repository_is_its_own_and_that_of_the_day_is_everybodys(self, lab: Lab) -> None:
        budgets = Budgets(day=Budget(usd=10), repository=Budget(usd=4))
        one, two = await lab.running("a"), await lab.running("b", repo="/other")
        await spend(lab, one, 3)
        assert (await ask(lab, one, 5, least=1, budgets=budgets)).granted == Spent(1)
        assert (await ask(lab, two, 5, least=1, budgets=budgets)).granted == Spent(4)
        three = await lab.running("c", repo="/third")
        assert await ask(lab, three, 5, least=1, budgets=budgets) == Reserved()
        assert (await ask(lab, three, 2, least=1, budgets=budgets)).granted == Spent(2)

    async def test_what_is_granted_is_the_least_of_all_budgets_field_by_field(self, lab: Lab) -> None:
        budgets = Budgets(day=Budget(usd=5, tokens=100), repository=Budget(usd=3, turns=7))
        claim = await lab.running()
        reserved = await lab.store.reserve(claim.lease, Spent(), Spent(9, 900, 9, 9), budgets)
        assert reserved.granted == Spent(3, 100, 7, 9)

    async def test_of_many_who_ask_at_once_no_more_are_let_in_than_there_is_room_for(self, lab: Lab) -> None:
        claims = [await lab.running(f"t{number}", worker=f"w{number % 3}") for number in range(12)]
        reserved = await asyncio.gather(*(ask(lab, claim, 3, least=2) for claim in claims))
        assert [found.granted for found in reserved if found.granted] == [Spent(3)] * 3
        assert all(found == Reserved() for found in reserved if not found.granted)
