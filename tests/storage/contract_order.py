"""Who is next: priority, ageing, delays, dependencies, deadlines and limits."""

import pytest

from kugetsu.protocols import Concurrency
from kugetsu.tasks import AGEING_SECONDS, MOST_PRIORITY, Answer, Cancel, Pause, Prioritise, Resume, Retry
from storage.store_lab import Lab


class OrderContract:
    """The order of the queue, and what may not start yet."""

    # Order.

    async def test_the_higher_priority_goes_first_and_among_equals_the_first_to_come(self, lab: Lab) -> None:
        for name, priority in [("a", 0), ("b", 5), ("c", 0), ("d", -1), ("e", 5)]:
            await lab.submit(name, priority=priority)
        assert await lab.claim() == ["b", "e", "a", "c", "d"]

    async def test_no_more_tasks_are_claimed_than_asked_for_and_each_once(self, lab: Lab) -> None:
        for name in ("a", "b", "c"):
            await lab.submit(name)
        assert await lab.claim(0) == []
        assert await lab.claim(2) == ["a", "b"]
        assert await lab.claim(2, worker="w2") == ["c"]
        assert await lab.claim(2) == []

    async def test_a_low_priority_is_overtaken_only_by_what_comes_soon_enough(self, lab: Lab) -> None:
        await lab.submit("low")
        lab.clock.advance(3 * AGEING_SECONDS - 1)
        await lab.submit("in_time", priority=3)
        lab.clock.advance(1)
        await lab.submit("too_late", priority=3)
        assert await lab.claim() == ["in_time", "low", "too_late"]

    async def test_nothing_starves_the_lowest_overtakes_the_highest_after_the_stated_time(self, lab: Lab) -> None:
        await lab.submit("lowest", priority=-MOST_PRIORITY)
        lab.clock.advance(2 * MOST_PRIORITY * AGEING_SECONDS)
        await lab.submit("highest", priority=MOST_PRIORITY)
        assert await lab.claim() == ["lowest", "highest"]

    async def test_another_priority_moves_a_task_as_if_it_had_come_with_it(self, lab: Lab) -> None:
        for name in ("a", "b", "c"):
            await lab.submit(name)
        await lab.store.control("c", Prioritise(1))
        await lab.store.control("a", Prioritise(-1))
        assert await lab.claim() == ["c", "b", "a"]

    async def test_what_failed_and_is_tried_again_by_itself_keeps_its_place(self, lab: Lab) -> None:
        await lab.submit("a")
        lab.clock.advance(5)
        await lab.submit("b")
        claim = await lab.running("a")
        await lab.settle(claim, "pending", available_at=lab.now + 10, attempts=1)
        assert await lab.claim(1) == ["b"]
        await lab.submit("c")
        lab.clock.advance(10)
        assert await lab.claim() == ["a", "c"]

    async def test_an_answered_task_keeps_its_place(self, lab: Lab) -> None:
        await lab.enter("asking")
        lab.clock.advance(5)
        await lab.submit("b")
        await lab.store.control("a", Answer("the red one"))
        assert await lab.claim() == ["a", "b"]

    @pytest.mark.parametrize("situation", ["failed", "cancelled", "paused"])
    async def test_what_was_over_or_at_rest_does_not_overtake_what_waited_meanwhile(
        self, lab: Lab, situation: str
    ) -> None:
        await lab.enter(situation)
        lab.clock.advance(86_400)
        await lab.submit("b")
        lab.clock.advance(1)
        await lab.store.control("a", Resume() if situation == "paused" else Retry())
        assert await lab.claim() == ["b", "a"]

    # Delays.

    async def test_a_task_does_not_start_before_its_time(self, lab: Lab) -> None:
        await lab.submit("later", start_at=lab.now + 60)
        await lab.submit("b")
        assert await lab.claim() == ["b"]
        lab.clock.advance(59)
        assert await lab.claim() == []
        lab.clock.advance(1)
        assert await lab.claim() == ["later"]

    async def test_a_delayed_task_has_waited_only_since_its_time_came(self, lab: Lab) -> None:
        await lab.submit("later", start_at=lab.now + 60)
        lab.clock.advance(30)
        await lab.submit("b")
        lab.clock.advance(40)
        await lab.submit("c")
        assert await lab.claim() == ["b", "later", "c"]

    async def test_a_task_may_be_let_go_before_its_time(self, lab: Lab) -> None:
        await lab.submit(start_at=lab.now + 60)
        await lab.store.control("a", Resume())
        assert await lab.claim() == ["a"]

    async def test_the_queue_says_when_the_next_delayed_task_may_start(self, lab: Lab) -> None:
        assert await lab.store.next_start() is None
        await lab.submit("ready")
        await lab.submit("b", start_at=lab.now + 60)
        await lab.submit("c", start_at=lab.now + 40)
        await lab.submit("blocked", start_at=lab.now + 20, after=("ready",))
        await lab.submit("paused", start_at=lab.now + 10)
        await lab.store.control("paused", Pause())
        assert await lab.store.next_start() == lab.now + 40
        assert await lab.claim() == ["ready"]
        lab.clock.advance(60)
        assert await lab.claim() == ["c", "b"]
        assert await lab.store.next_start() is None

    async def test_the_queue_says_when_a_failed_task_is_tried_again(self, lab: Lab) -> None:
        await lab.settle(await lab.running(), "pending", available_at=lab.now + 7)
        assert await lab.store.next_start() == lab.now + 7

    # Dependencies.

    async def test_a_task_starts_once_all_it_comes_after_are_completed(self, lab: Lab) -> None:
        for name in ("b", "c"):
            await lab.submit(name)
        record = await lab.submit("a", after=("b", "c", "b"))
        assert record.blockers == 2
        for name, left in (("b", 1), ("c", 0)):
            assert "a" not in await lab.claim()
            await lab.store.retire("w")
            await lab.finish(name, "completed")
            assert (await lab.find("a")).blockers == left
        assert await lab.claim() == ["a"]

    async def test_a_task_that_comes_after_completed_ones_starts_at_once(self, lab: Lab) -> None:
        await lab.finish("b", "completed")
        await lab.submit("a", after=("b",))
        assert await lab.claim() == ["a"]

    @pytest.mark.parametrize("state", ["pending", "waiting", "paused"])
    async def test_a_task_goes_on_waiting_while_the_one_before_it_is_not_over(self, lab: Lab, state: str) -> None:
        await lab.submit("b")
        await lab.submit("a", after=("b",))
        await lab.settle(await lab.running("b"), state, available_at=lab.now + 60)  # type: ignore[arg-type]  # one of the states
        assert await lab.claim() == []

    @pytest.mark.parametrize("state", ["failed", "cancelled"])
    async def test_what_comes_after_a_task_that_fails_fails_with_it_and_so_on(self, lab: Lab, state: str) -> None:
        await lab.submit("first")
        await lab.submit("other")
        await lab.submit("second", after=("first", "other"))
        await lab.submit("third", after=("second",))
        await lab.submit("both", after=("second", "third"))
        await lab.finish("first", state)  # type: ignore[arg-type]  # one of the states
        for name, because in (("second", "first"), ("third", "second"), ("both", "second")):
            assert (await lab.find(name)).state == "failed"
            outcome = await lab.outcome(name)
            assert outcome.kind == "dependency"
            assert because in outcome.message or "third" in outcome.message
        assert await lab.claim() == ["other"]

    async def test_a_long_chain_fails_to_its_end(self, lab: Lab) -> None:
        await lab.submit("t0")
        for number in range(1, 60):
            await lab.submit(f"t{number}", after=(f"t{number - 1}",))
        await lab.store.control("t0", Cancel())
        counts = await lab.store.counts()
        assert (counts["cancelled"], counts["failed"], counts["pending"]) == (1, 59, 0)

    async def test_a_task_fails_with_the_one_before_it_also_while_it_is_paused(self, lab: Lab) -> None:
        await lab.submit("b")
        await lab.submit("a", after=("b",))
        await lab.store.control("a", Pause())
        await lab.store.control("b", Cancel())
        assert (await lab.outcome()).kind == "dependency"

    async def test_a_paused_task_does_not_forget_what_it_comes_after(self, lab: Lab) -> None:
        await lab.submit("b")
        await lab.submit("a", after=("b",))
        await lab.store.control("a", Pause())
        await lab.store.control("a", Resume())
        assert (await lab.find()).blockers == 1
        await lab.store.control("a", Pause())
        await lab.finish("b", "completed")
        await lab.store.control("a", Resume())
        assert await lab.claim() == ["a"]

    async def test_a_task_that_is_completed_twice_is_counted_once(self, lab: Lab) -> None:
        for name in ("b", "c"):
            await lab.submit(name)
        await lab.submit("a", after=("b", "c"))
        await lab.finish("b", "completed")
        claim = await lab.store.claim_task("w", "b", "rewind")
        await lab.settle(claim, "completed")
        assert (await lab.find("a")).blockers == 1

    async def test_what_was_let_go_does_not_fail_later_when_the_one_before_it_is_run_again(self, lab: Lab) -> None:
        for name in ("b", "c"):
            await lab.submit(name)
        await lab.submit("a", after=("b", "c"))
        await lab.finish("b", "completed")
        await lab.settle(await lab.store.claim_task("w", "b", "rewind"), "failed")
        assert (await lab.find("a")).state == "pending"
        await lab.finish("c", "completed")
        assert await lab.claim() == ["a"]

    async def test_a_retry_waits_for_nobody(self, lab: Lab) -> None:
        await lab.submit("b")
        await lab.submit("a", after=("b",))
        await lab.store.control("b", Cancel())
        await lab.store.control("a", Retry())
        assert await lab.claim() == ["a"]

    async def test_a_retry_does_not_fail_with_what_else_the_task_came_after(self, lab: Lab) -> None:
        for name in ("b", "c"):
            await lab.submit(name)
        await lab.submit("a", after=("b", "c"))
        await lab.store.control("b", Cancel())
        await lab.store.control("a", Retry())
        await lab.store.control("c", Cancel())
        assert (await lab.find("a")).state == "pending"

    # Deadlines.

    async def test_a_task_that_was_not_started_by_its_deadline_fails(self, lab: Lab) -> None:
        await lab.submit("late", deadline_at=lab.now + 60)
        await lab.submit("after", after=("late",))
        await lab.submit("blocked_too", after=("after",), deadline_at=lab.now + 50)
        lab.clock.advance(61)
        assert await lab.claim() == []
        assert (await lab.find("late")).state == "failed"
        assert (await lab.outcome("late")).kind == "expired"
        assert (await lab.outcome("after")).kind == "dependency"
        assert (await lab.find("blocked_too")).state == "failed"

    async def test_a_task_that_was_started_once_has_kept_its_deadline(self, lab: Lab) -> None:
        await lab.submit("a", deadline_at=lab.now + 60)
        await lab.running("a")
        lab.clock.advance(61)
        await lab.store.retire("w")
        assert await lab.claim() == ["a"]

    async def test_a_task_may_start_until_its_deadline(self, lab: Lab) -> None:
        await lab.submit("a", deadline_at=lab.now + 60)
        lab.clock.advance(59)
        assert await lab.claim() == ["a"]

    async def test_a_retry_of_an_expired_task_is_not_held_to_the_deadline_again(self, lab: Lab) -> None:
        await lab.submit("a", deadline_at=lab.now + 60)
        lab.clock.advance(61)
        assert await lab.claim() == []
        await lab.store.control("a", Retry())
        assert await lab.claim() == ["a"]

    # Limits.

    async def test_no_more_tasks_of_one_repository_run_than_its_limit(self, lab: Lab) -> None:
        for name, repo in [("a", "/x"), ("b", "/x"), ("c", "/y"), ("d", "/x"), ("e", "/y")]:
            await lab.submit(name, repo=repo)
        limits = Concurrency(repository=2, repositories={"/y": 1})
        assert await lab.claim(limits=limits) == ["a", "b", "c"]
        assert await lab.claim(limits=limits, worker="w2") == []
        await lab.store.retire("w")
        assert await lab.claim(1, limits=limits, worker="w2") == ["a"]
        assert await lab.claim() == ["b", "c", "d", "e"]

    async def test_no_more_tasks_with_one_model_run_than_its_limit(self, lab: Lab) -> None:
        for name, model in [("a", "m"), ("b", "m"), ("c", "n"), ("d", "n"), ("e", "o")]:
            await lab.submit(name, model=model)
        assert await lab.claim(limits=Concurrency(model=1, models={"n": 0})) == ["a", "c", "d", "e"]

    async def test_a_limit_counts_what_others_claimed_and_what_was_claimed_by_name(self, lab: Lab) -> None:
        await lab.running("a")
        await lab.submit("b")
        assert await lab.claim(limits=Concurrency(repository=1), worker="w2") == []
        assert await lab.claim(limits=Concurrency(model=1), worker="w2") == []

    async def test_nothing_is_claimed_with_a_model_that_is_closed(self, lab: Lab) -> None:
        for name, model in [("a", "m"), ("b", "n"), ("c", "m"), ("d", "o")]:
            await lab.submit(name, model=model, priority=9 if model == "m" else 0)
        assert await lab.claim(1, limits=Concurrency(closed=frozenset({"m", "o", "nobody's"}))) == ["b"]
        assert await lab.claim(limits=Concurrency(closed=frozenset({"m"}), models={"o": 1})) == ["d"]
        assert await lab.claim(limits=Concurrency(closed=frozenset({"\udcff"}))) == ["a", "c"]

    async def test_what_waits_for_a_closed_model_can_be_taken_by_name(self, lab: Lab) -> None:
        await lab.submit("a")
        assert await lab.claim(limits=Concurrency(closed=frozenset({"some/model"}))) == []
        assert (await lab.running("a")).record.state == "running"

    async def test_a_full_repository_holds_up_nobody_else(self, lab: Lab) -> None:
        for number in range(5):
            await lab.submit(f"x{number}", repo="/x", priority=9)
        await lab.submit("y", repo="/y")
        assert await lab.claim(2, limits=Concurrency(repository=1)) == ["x0", "y"]

    async def test_a_repository_is_the_same_whatever_secret_its_address_has(self, lab: Lab) -> None:
        await lab.submit("a", repo="https://user:one@host/x.git")
        await lab.submit("b", repo="https://user:two@host/x.git")
        assert await lab.claim(limits=Concurrency(repositories={"https://***@host/x.git": 1})) == ["a"]

    async def test_what_is_only_brought_home_to_be_cancelled_needs_no_room(self, lab: Lab) -> None:
        await lab.running("busy")
        await lab.running("a", worker="w2", place=True)
        await lab.store.retire("w2")
        await lab.store.control("a", Cancel())
        await lab.submit("b")
        limits = Concurrency(repository=1, model=1, closed=frozenset({"some/model"}))
        assert await lab.claim(limits=limits, worker="w3") == ["a"]
