"""Tasks that wait for a time, with nobody to answer, and tasks that go on with other limits."""

import pytest

from kugetsu.errors import QueueFullError, StateConflictError
from kugetsu.protocols import Concurrency
from kugetsu.tasks import Answer, Cancel, Ending, Limits, Outcome, Pause, Prioritise, Resume
from storage.store_lab import Lab
from tasks.task_lab import a_task

MORE = Limits(turns=400, usd=25.0)


class WaitingContract:
    """The state `waiting`: a time that comes by itself, and a question that does not."""

    # Waiting for a time.

    async def test_what_waits_for_a_time_starts_by_itself_when_it_has_come(self, lab: Lab) -> None:
        await lab.settle(await lab.running(), "waiting", kind="rate_limited", available_at=lab.now + 60)
        assert await lab.claim() == []
        lab.clock.advance(59)
        assert await lab.claim() == []
        lab.clock.advance(1)
        (claim,) = await lab.store.claim("w", 9)
        assert (claim.record.state, claim.record.runs, claim.record.available_at) == ("running", 2, 0.0)

    async def test_what_waits_for_no_time_starts_at_once(self, lab: Lab) -> None:
        await lab.enter("resting")
        assert await lab.claim() == ["a"]

    async def test_the_queue_says_when_what_waits_for_a_time_may_start(self, lab: Lab) -> None:
        await lab.settle(await lab.running("a"), "waiting", available_at=lab.now + 60)
        await lab.submit("b", start_at=lab.now + 90)
        assert await lab.store.next_start() == lab.now + 60
        lab.clock.advance(60)
        assert await lab.claim() == ["a"]
        assert await lab.store.next_start() == lab.now + 30

    async def test_what_waits_keeps_its_place_in_the_queue(self, lab: Lab) -> None:
        await lab.submit("a")
        lab.clock.advance(1)
        await lab.submit("b")
        await lab.submit("low", priority=-1)
        await lab.settle(await lab.running("a"), "waiting", available_at=lab.now + 60)
        lab.clock.advance(60)
        assert await lab.claim() == ["a", "b", "low"]

    async def test_what_waits_can_be_given_another_priority(self, lab: Lab) -> None:
        await lab.enter("resting")
        await lab.submit("b")
        await lab.store.control("a", Prioritise(-1))
        assert await lab.claim() == ["b", "a"]

    async def test_what_waits_is_held_to_the_limits_like_any_other(self, lab: Lab) -> None:
        await lab.settle(await lab.running("a"), "waiting")
        await lab.running("busy", worker="w2")
        assert await lab.claim(limits=Concurrency(repository=1)) == []
        assert await lab.claim(limits=Concurrency(closed=frozenset({"some/model"}))) == []
        assert await lab.claim() == ["a"]

    async def test_what_waits_takes_no_room_of_what_is_pending(self, lab: Lab) -> None:
        await lab.settle(await lab.running("a"), "waiting", available_at=lab.now + 60)
        await lab.store.submit(a_task("b"), most_pending=1)
        with pytest.raises(QueueFullError):
            await lab.store.submit(a_task("c"), most_pending=1)
        counts = await lab.store.counts()
        assert (counts["waiting"], counts["pending"]) == (1, 1)

    async def test_what_waits_for_a_time_can_be_taken_by_name_before_it(self, lab: Lab) -> None:
        await lab.settle(await lab.running(), "waiting", available_at=lab.now + 60)
        assert (await lab.running()).record.state == "running"

    async def test_what_waits_for_a_time_can_be_let_go_before_it(self, lab: Lab) -> None:
        await lab.settle(await lab.running(), "waiting", available_at=lab.now + 60)
        record = await lab.store.control("a", Resume())
        assert (record.state, record.available_at) == ("pending", 0.0)
        assert await lab.claim() == ["a"]

    async def test_what_waits_for_a_time_rests_while_it_is_paused(self, lab: Lab) -> None:
        await lab.settle(await lab.running(), "waiting", available_at=lab.now + 60)
        await lab.store.control("a", Pause())
        assert await lab.store.next_start() is None
        lab.clock.advance(60)
        assert await lab.claim() == []
        await lab.store.control("a", Resume())
        assert await lab.claim() == ["a"]

    async def test_a_cancel_of_what_waits_for_a_time_brings_it_home_at_once(self, lab: Lab) -> None:
        claim = await lab.running(place=True)
        await lab.settle(claim, "waiting", available_at=lab.now + 60)
        await lab.store.control("a", Cancel("no need"))
        (claim,) = await lab.store.claim("w", 1)
        assert claim.record.wanted == "cancel"

    async def test_an_outcome_says_until_when_there_is_nothing(self, lab: Lab) -> None:
        claim = await lab.running()
        outcome = Outcome("rate_limited", "come back later", until=lab.now + 60)
        await lab.store.settle(claim.lease, Ending(state="waiting", outcome=outcome, report=claim.record.report))
        assert await lab.outcome() == outcome
        assert [run.outcome for run in await lab.store.runs("a")] == [outcome]

    # Waiting for an answer.

    async def test_a_question_is_never_taken_up_by_the_queue(self, lab: Lab) -> None:
        claim = await lab.running(place=True)
        await lab.settle(claim, "waiting", question="which?", available_at=lab.now + 1)
        assert await lab.store.next_start() is None
        lab.clock.advance(86_400)
        assert await lab.claim() == []
        with pytest.raises(StateConflictError, match="waiting"):
            await lab.running()
        await lab.store.control("a", Answer("the red one"))
        assert await lab.claim() == ["a"]

    # Other limits.

    @pytest.mark.parametrize("situation", ["halted", "paused", "resting", "begun", "delayed", "fresh"])
    async def test_a_task_goes_on_with_the_limits_that_it_was_resumed_with(self, lab: Lab, situation: str) -> None:
        await lab.enter(situation)
        record = await lab.store.control("a", Resume(limits=MORE))
        assert record.task.limits == MORE
        assert await lab.find() == record
        (claim,) = await lab.store.claim(await lab.worker(), 1)
        assert claim.record.task.limits == MORE
        assert claim.record.task == (await lab.find()).task
        await lab.die()
        assert (await lab.find()).task.limits == MORE

    async def test_a_task_that_is_resumed_without_limits_keeps_those_it_had(self, lab: Lab) -> None:
        await lab.enter("halted")
        before = (await lab.find()).task
        assert (await lab.store.control("a", Resume())).task == before

    @pytest.mark.parametrize("situation", ["running", "aborting", "asking", "cancelling", "completed", "failed"])
    async def test_what_cannot_be_resumed_keeps_its_limits(self, lab: Lab, situation: str) -> None:
        await lab.enter(situation)
        before = await lab.find()
        with pytest.raises(StateConflictError):
            await lab.store.control("a", Resume(limits=MORE))
        assert await lab.find() == before

    async def test_a_resume_with_limits_may_be_repeated_also_when_the_task_runs_already(self, lab: Lab) -> None:
        await lab.enter("halted")
        first = await lab.store.control("a", Resume(limits=MORE))
        assert await lab.store.control("a", Resume(limits=MORE)) == first
        running = (await lab.running()).record
        assert await lab.store.control("a", Resume(limits=MORE)) == running
