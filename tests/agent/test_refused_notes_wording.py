"""What is said of notes that could not be had: true, and no advice that would change nothing."""

import pytest

from agent.notes_desk import DEAR, Desk
from kugetsu.agent import RetryPolicy
from kugetsu.errors import LimitReachedError, ModelError
from kugetsu.protocols import Reserved
from kugetsu.tasks import Limits, Spent
from kugetsu.testing import CannedModel, says


@pytest.mark.parametrize("park", [None, 30.0])
async def test_that_too_long_a_wait_was_asked_for_is_blamed_on_no_setting(park: float | None) -> None:
    model = CannedModel(ModelError("rate_limited", "cheap: rate limited", retry_after=3_600))
    desk = Desk(model, policy=RetryPolicy(cap_seconds=120, park_seconds=park))
    assert await desk.fails() == "cheap: rate limited (notes are waited for up to 15 s; it asked for 3600)"
    assert desk.clock.waits == []


async def test_the_advice_of_any_other_failure_is_kept() -> None:
    error = ModelError("authentication", "cheap: the key was not accepted", fix="check the key in LKEY")
    assert await Desk(CannedModel(error)).fails() == str(error)
    assert "check the key in LKEY" in str(error)


async def test_a_budget_without_room_does_not_tell_to_resume_a_task_that_goes_on() -> None:
    async def empty(_least: Spent, _most: Spent) -> Reserved:
        raise LimitReachedError("budget", "the budget has no room", fix="raise it and `kugetsu resume` it")

    assert await Desk(CannedModel(), reserve=empty).fails() == "the budget has no room"


async def test_money_that_is_left_for_the_next_call_is_not_told_as_the_price_of_one() -> None:
    model = CannedModel()
    model.info = DEAR
    left = await Desk(model, limits=Limits(usd=0.35), leaving=Spent(usd=0.3)).fails()
    alone = await Desk(model, limits=Limits(usd=0.05)).fails()
    assert ("the next two calls may cost" in left, "the next call may cost" in alone) == (True, True)


async def test_notes_that_are_too_long_are_measured_by_what_this_conversation_allows() -> None:
    said = await Desk(CannedModel(says("word and another " * 3_000))).fails(most=1_421)
    assert said.endswith("tokens, where 1,421 are allowed")
