"""What is told of a task that no run tells, and the events of all tasks in one order."""

import pytest

from kugetsu.events import Noted, TaskHalted, TaskMoved
from kugetsu.tasks import Answer, Cancel, Control, Outcome, Pause, Prioritise, Resume, Retry, Say, TaskState
from storage.store_lab import Lab, a_finish
from tasks.task_lab import a_task, an_ending


class FeedContract:
    """Changes of state as events, and the feed."""

    # What the store tells by itself.

    async def test_that_a_task_came_in_is_its_first_event(self, lab: Lab) -> None:
        await lab.submit()
        assert await lab.store.events("a") == [TaskMoved(task="a", seq=1, at=lab.now, state="pending")]

    async def test_a_task_that_is_had_at_once_leaves_the_telling_to_its_run(self, lab: Lab) -> None:
        await lab.worker()
        await lab.store.submit(a_task(), worker="w")
        assert await lab.store.events("a") == []
        assert await lab.changes() == ["running"]

    async def test_a_second_submission_of_a_key_is_told_to_nobody(self, lab: Lab) -> None:
        for _ in range(2):
            await lab.store.submit(a_task(), key="k")
        assert (await lab.moves(), await lab.changes()) == (["pending"], ["pending"])

    async def test_that_a_task_runs_is_told_by_its_run_alone(self, lab: Lab) -> None:
        await lab.running()
        assert await lab.moves() == ["pending"]
        assert await lab.changes() == ["pending", "running"]

    @pytest.mark.parametrize(
        ("situation", "control", "state"),
        [
            ("fresh", Cancel("no need"), "cancelled"),
            ("fresh", Pause(), "paused"),
            ("paused", Resume(), "pending"),
            ("resting", Resume(), "pending"),
            ("asking", Answer("yes"), "pending"),
            ("asking", Pause(), "paused"),
            ("paused_asking", Resume(), "waiting"),
            ("halted", Cancel(), "pending"),  # its work is brought home first
            ("failed", Retry(), "pending"),
            ("cancelled", Retry(), "pending"),
        ],
    )
    async def test_what_a_user_does_to_a_task_in_the_queue_is_told(
        self, lab: Lab, situation: str, control: Control, state: str
    ) -> None:
        await lab.enter(situation)
        moves, changes = await lab.moves(), await lab.changes("a")
        record = await lab.store.control("a", control)
        assert await lab.moves() == [*moves, state]
        assert await lab.changes("a") == [*changes, state]
        last = (await lab.store.events("a"))[-1]
        assert isinstance(last, TaskMoved)
        assert (last.outcome, last.at) == (record.outcome, lab.now)

    @pytest.mark.parametrize("control", [Cancel(), Pause(), Say("hm"), Prioritise(5)])
    async def test_what_a_user_wants_of_a_running_task_changes_no_state_yet(self, lab: Lab, control: Control) -> None:
        await lab.running()
        before = await lab.store.last_event()
        await lab.store.control("a", control)
        assert await lab.store.last_event() == before
        assert await lab.changes() == ["pending", "running"]

    @pytest.mark.parametrize("end", ["dead", "expired", "retired"])
    async def test_that_a_run_was_lost_is_told_after_what_it_told_itself(self, lab: Lab, end: str) -> None:
        claim = await lab.running()
        await lab.store.append(claim.lease, [], events=[Noted(task="a", seq=4, message="hm")])
        if end == "retired":
            await lab.store.retire("w")
        else:
            await (lab.die() if end == "dead" else lab.expire())
        noted, moved = (await lab.store.events("a"))[-2:]
        assert isinstance(moved, TaskMoved)
        assert (noted.seq, moved.seq, moved.state) == (4, 5, "pending")
        assert moved.outcome == await lab.outcome()
        assert moved.outcome.kind == "interrupted"
        assert await lab.changes() == ["pending", "running", "pending"]

    async def test_that_a_task_killed_its_workers_is_told(self, lab: Lab) -> None:
        for _ in range(3):
            await lab.running()
            await lab.die()
        assert await lab.moves() == ["pending", "pending", "pending", "failed"]
        assert (await lab.store.changes())[-1].outcome == await lab.outcome()

    async def test_that_a_deadline_passed_is_told_also_of_those_that_wait_for_it(self, lab: Lab) -> None:
        await lab.submit("a", deadline_at=lab.now + 1)
        await lab.submit("b", after=("a",))
        lab.clock.advance(2)
        await lab.claim()
        assert await lab.moves("a") == await lab.moves("b") == ["pending", "failed"]
        kinds = [change.outcome.kind for change in await lab.store.changes() if change.outcome]
        assert kinds == ["expired", "dependency"]

    async def test_that_a_task_waits_for_one_task_less_is_no_change_of_its_state(self, lab: Lab) -> None:
        await lab.submit("a")
        await lab.submit("b", after=("a",))
        await lab.finish("a", "completed")
        assert await lab.moves("b") == await lab.changes("b") == ["pending"]

    # Ends of runs.

    @pytest.mark.parametrize("state", ["completed", "failed", "cancelled", "pending", "waiting", "paused"])
    async def test_an_end_that_its_run_does_not_tell_is_told(self, lab: Lab, state: TaskState) -> None:
        claim = await lab.running()
        noted = Noted(task="a", seq=claim.last_event + 1, message="hm")
        record = await lab.store.settle(claim.lease, an_ending(state), events=[noted])
        assert (await lab.store.events("a"))[-1] == TaskMoved(
            task="a", seq=claim.last_event + 2, at=lab.now, state=record.state, outcome=record.outcome
        )
        assert await lab.changes() == ["pending", "running", state]

    async def test_an_end_that_its_run_tells_is_told_once(self, lab: Lab) -> None:
        claim = await lab.running()
        halted = TaskHalted(task="a", seq=2, state="waiting", outcome=Outcome("question", "which?"))
        await lab.store.settle(claim.lease, an_ending("waiting", question="which?"), events=[halted])
        await lab.store.control("a", Answer("this"))
        claim = await lab.running()
        end = a_finish("a", claim.last_event + 1, "completed")
        await lab.store.settle(claim.lease, an_ending("completed"), events=[end])
        assert await lab.moves() == ["pending", "pending"]
        assert await lab.changes() == ["pending", "running", "waiting", "pending", "running", "completed"]

    async def test_an_end_that_a_user_made_another_one_meanwhile_is_told_as_it_is(self, lab: Lab) -> None:
        claim = await lab.running()
        await lab.store.control("a", Pause())
        halted = TaskHalted(task="a", seq=2, state="waiting", outcome=Outcome("rate_limited", "later"))
        record = await lab.store.settle(claim.lease, an_ending("waiting"), events=[halted])
        assert record.state == "paused"
        assert await lab.moves() == ["pending", "paused"]

    # The feed.

    async def test_the_feed_holds_the_events_of_all_tasks_in_the_order_in_which_they_were_written(
        self, lab: Lab
    ) -> None:
        assert (await lab.store.feed(), await lab.store.last_event()) == ([], 0)
        first, second = await lab.running("a"), await lab.running("b")
        for seq, claim in ((2, second), (2, first), (3, second)):
            task = claim.record.id
            await lab.store.append(claim.lease, [], events=[Noted(task=task, seq=seq, message="hm")])
        await lab.store.settle(first.lease, an_ending("completed"))
        feed = await lab.store.feed()
        told = [(numbered.event.task, numbered.event.seq) for numbered in feed]
        assert told == [("a", 1), ("b", 1), ("b", 2), ("a", 2), ("b", 3), ("a", 3)]
        numbers = [numbered.number for numbered in feed]
        assert numbers == sorted(set(numbers))
        assert await lab.store.last_event() == numbers[-1]
        for task in "ab":
            assert [one.event for one in feed if one.event.task == task] == await lab.store.events(task)

    async def test_the_feed_is_had_page_by_page(self, lab: Lab) -> None:
        for name in "abcde":
            await lab.submit(name)
        first = await lab.store.feed(most=2)
        second = await lab.store.feed(after=first[-1].number, most=2)
        third = await lab.store.feed(after=second[-1].number, most=2)
        assert [one.event.task for one in (*first, *second, *third)] == list("abcde")
        assert await lab.store.feed(after=await lab.store.last_event()) == []
        await lab.submit("f")
        (last,) = await lab.store.feed(after=third[-1].number)
        assert last.event.task == "f"
