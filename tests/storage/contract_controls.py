"""What users ask of tasks in any situation."""

import pytest

from kugetsu.errors import StateConflictError, TaskNotFoundError
from kugetsu.tasks import Answer, Cancel, Outcome, Pause, Prioritise, Resume, Retry, Say
from storage.store_lab import HEARD, Lab
from tasks.control_table import CASES, CONTROLS

# A task that asks again is not resumed a second time but answered.
REPEATABLE = [(s, c) for s, c, expected in CASES if expected != "-" and (s, c) != ("paused_asking", "resume")]


class ControlContract:
    """Cancel, pause, resume, retry, say, answer, prioritise: in every situation, once and twice."""

    @pytest.mark.parametrize(("situation", "control", "expected"), CASES)
    async def test_a_control_does_what_the_table_says(
        self, lab: Lab, situation: str, control: str, expected: str
    ) -> None:
        await lab.enter(situation)
        before = await lab.find()
        if expected == "-":
            with pytest.raises(StateConflictError, match="task a "):
                await lab.store.control("a", CONTROLS[control])
            assert await lab.find() == before
        else:
            after = await lab.store.control("a", CONTROLS[control])
            assert f"{after.state}!{after.wanted}".strip("!") == expected
            assert await lab.find() == after

    @pytest.mark.parametrize(("situation", "control"), REPEATABLE)
    async def test_doing_it_again_changes_nothing(self, lab: Lab, situation: str, control: str) -> None:
        await lab.enter(situation)
        first = await lab.store.control("a", CONTROLS[control])
        lab.clock.advance(1)
        assert await lab.store.control("a", CONTROLS[control]) == first
        if (first.state == "pending" and not first.blockers) or first.state == "running":
            texts = [note.text for note in await lab.notes()]
            assert len(texts) == len(set(texts))

    @pytest.mark.parametrize("control", CONTROLS.values(), ids=CONTROLS)
    async def test_what_does_not_exist_cannot_be_controlled(self, lab: Lab, control: Cancel) -> None:
        await lab.submit("abc")
        for name in ("b", "ab", ""):
            with pytest.raises(TaskNotFoundError):
                await lab.store.control(name, control)

    async def test_a_refused_message_is_not_kept(self, lab: Lab) -> None:
        await lab.finish("a", "failed")
        with pytest.raises(StateConflictError):
            await lab.store.control("a", Say("too late"))
        await lab.store.control("a", Retry())
        assert "too late" not in [note.text for note in await lab.notes()]

    async def test_a_cancel_of_what_has_no_work_is_done_at_once(self, lab: Lab) -> None:
        await lab.submit("a")
        await lab.submit("b", after=("a",))
        record = await lab.store.control("a", Cancel("no need"))
        assert (record.state, record.outcome) == ("cancelled", Outcome("cancelled", "no need"))
        assert (await lab.outcome("b")).kind == "dependency"
        assert await lab.claim() == []

    async def test_a_cancel_of_what_has_work_brings_it_home_before_its_time(self, lab: Lab) -> None:
        claim = await lab.running(place=True)
        await lab.settle(claim, "pending", available_at=lab.now + 900)
        await lab.store.control("a", Cancel("no need"))
        (claim,) = await lab.store.claim("w", 1)
        assert (claim.record.wanted, claim.record.reason) == ("cancel", "no need")
        assert (await lab.settle(claim, "cancelled")).state == "cancelled"

    async def test_a_cancel_that_a_run_did_not_see_is_done_by_the_next_one(self, lab: Lab) -> None:
        claim = await lab.running(place=True)
        await lab.store.control("a", Cancel("no need"))
        record = await lab.settle(claim, "waiting", question="which?")
        assert (record.state, record.wanted) == ("pending", "cancel")
        assert await lab.claim(worker="w2") == ["a"]

    async def test_a_pause_that_a_run_did_not_see_holds_after_it(self, lab: Lab) -> None:
        claim = await lab.running()
        await lab.store.control("a", Pause("not now"))
        assert (await lab.settle(claim, "pending", available_at=lab.now + 5)).state == "paused"
        lab.clock.advance(5)
        assert await lab.claim() == []
        await lab.store.control("a", Resume())
        assert await lab.claim() == ["a"]

    async def test_a_pause_holds_after_a_run_that_ends_with_a_question(self, lab: Lab) -> None:
        claim = await lab.running(place=True)
        await lab.store.control("a", Pause("not now"))
        assert (await lab.settle(claim, "waiting", question="which?")).state == "paused"
        await lab.store.control("a", Answer("the red one"))
        assert await lab.claim() == []
        await lab.store.control("a", Resume())
        assert await lab.claim() == ["a"]

    async def test_a_paused_question_is_asked_again_unless_it_was_answered(self, lab: Lab) -> None:
        await lab.enter("paused_asking")
        assert (await lab.store.control("a", Resume())).question == "which?"
        await lab.store.control("a", Pause())
        await lab.store.control("a", Answer("the red one"))
        assert (await lab.store.control("a", Resume())).state == "pending"
        assert [note.text for note in (await lab.running()).notes] == ["the red one"]

    async def test_an_answer_that_a_run_took_in_is_not_asked_for_again(self, lab: Lab) -> None:
        await lab.enter("answered")
        claim = await lab.running()
        await lab.store.append(claim.lease, [HEARD], taken=[note.id for note in claim.notes])
        await lab.die()
        await lab.store.control("a", Pause())
        assert (await lab.store.control("a", Resume())).state == "pending"

    async def test_a_question_is_answered_once(self, lab: Lab) -> None:
        await lab.enter("asking")
        await lab.store.control("a", Answer("the red one"))
        await lab.store.control("a", Answer("the red one"))
        with pytest.raises(StateConflictError, match="asks nothing"):
            await lab.store.control("a", Answer("the blue one"))
        assert [note.text for note in (await lab.running()).notes] == ["the red one"]

    async def test_a_second_question_gets_its_own_answer(self, lab: Lab) -> None:
        await lab.enter("answered")
        claim = await lab.running()
        await lab.store.append(claim.lease, [HEARD], taken=[note.id for note in claim.notes])
        await lab.settle(claim, "waiting", question="and which of those?")
        await lab.store.control("a", Answer("the red one"))
        assert [note.text for note in (await lab.running()).notes] == ["the red one"]

    async def test_a_retry_is_told_how_the_last_try_ended_and_has_all_its_attempts(self, lab: Lab) -> None:
        claim = await lab.running(place=True, attempts=3)
        await lab.settle(claim, "failed", kind="network", message="cut off", attempts=3)
        record = await lab.store.control("a", Retry())
        assert (record.state, record.attempts, record.place is None) == ("pending", 0, False)
        claim = await lab.running()
        assert [(note.kind, note.text) for note in claim.notes] == [("retry", "network: cut off")]
        assert (claim.record.generation, claim.record.runs) == (3, 2)

    async def test_another_priority_is_shown(self, lab: Lab) -> None:
        await lab.submit()
        await lab.store.control("a", Prioritise(-3))
        (report,) = await lab.store.reports()
        assert report.priority == -3
        with pytest.raises(StateConflictError, match="101"):
            await lab.store.control("a", Prioritise(101))

    async def test_strange_text_in_a_control_does_no_harm(self, lab: Lab) -> None:
        await lab.running()
        await lab.store.control("a", Say("a nul \0 and a 'quote'; DROP TABLE notes", key="'\0"))
        assert [note.text for note in await lab.notes()] == ["a nul \0 and a 'quote'; DROP TABLE notes"]
        await lab.store.control("a", Cancel("a lone \ud800 surrogate"))
        assert (await lab.find()).wanted == "cancel"
