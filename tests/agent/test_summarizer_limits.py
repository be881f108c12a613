"""What requests for notes leave to others, and how long they may take."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from agent.notes_desk import DEAR, NOTES, PAID, Desk
from kugetsu.agent.limits import Watchdog
from kugetsu.errors import LimitReachedError, ModelError
from kugetsu.events import Event, ModelRetried, ReplyDelta
from kugetsu.messages import (
    Delta,
    ReplyEnd,
    TextDelta,
)
from kugetsu.protocols import ModelRequest, Reserved
from kugetsu.tasks import Limits, Spent
from kugetsu.testing import CannedModel, CannedReply, FakeClock, says


@pytest.mark.parametrize(("usd", "enough"), [(1.0, True), (0.35, False)])
async def test_notes_leave_the_money_that_the_next_call_needs(usd: float, *, enough: bool) -> None:
    model = CannedModel(says(NOTES))
    model.info = DEAR
    desk = Desk(model, limits=Limits(usd=usd), leaving=Spent(usd=0.3, tokens=5_000, turns=1))
    if not enough:
        assert "limits.usd" in await desk.fails()
        assert model.requests == []
        return
    await desk.write()
    (request,) = model.requests
    assert request.input_tokens * 1e-5 + request.max_output * 1e-4 + 0.3 <= usd
    assert request.max_output > 4_000


@pytest.mark.parametrize(("tokens", "enough"), [(40_000, True), (15_000, False)])
async def test_notes_leave_the_tokens_that_the_next_call_needs(tokens: int, *, enough: bool) -> None:
    model = CannedModel(says(NOTES))
    desk = Desk(model, limits=Limits(tokens=tokens), leaving=Spent(tokens=6_000))
    if enough:
        await desk.write()
    else:
        assert "limit of tokens" in await desk.fails()
        assert model.requests == []


async def test_what_is_set_aside_is_for_the_notes_and_the_next_call() -> None:
    least_and_most: list[tuple[Spent, Spent]] = []

    async def part(least: Spent, most: Spent) -> Reserved:
        least_and_most.append((least, most))
        return Reserved(msgspec.structs.replace(most, usd=least.usd + 0.2))

    model = CannedModel(says(NOTES))
    model.info = DEAR
    leaving = Spent(usd=0.7, tokens=9_000, turns=1)
    await Desk(model, leaving=leaving, reserve=part).write()
    ((least, most),) = least_and_most
    (request,) = model.requests
    assert least.usd == pytest.approx(request.input_tokens * 1e-5 + 1_024 * 1e-4 + 0.7)
    assert (least.turns, most.turns) == (1, 1)
    assert most.tokens == request.input_tokens + 8_000 + 9_000
    assert request.max_output == pytest.approx(1_024 + 2_000, abs=1)


async def test_what_others_have_set_aside_is_not_waited_for() -> None:
    async def nothing(_least: Spent, _most: Spent) -> Reserved:
        return Reserved()

    model = CannedModel()
    desk = Desk(model, reserve=nothing)
    assert "set aside for other calls" in await desk.fails()
    assert (model.requests, desk.clock.waits) == ([], [])
    assert desk.events == [], "nor does it say that it waits"


async def test_a_budget_that_is_used_up_is_no_reason_to_end() -> None:
    async def empty(_least: Spent, _most: Spent) -> Reserved:
        raise LimitReachedError("budget", "today's budget has no room")

    model = CannedModel()
    assert "today's budget" in await Desk(model, reserve=empty).fails()
    assert model.requests == []


def slow(clock: FakeClock, seconds: float, pieces: int) -> CannedReply:
    async def stream(_request: ModelRequest) -> AsyncIterator[Delta]:
        for _ in range(pieces):
            await clock.sleep(seconds)
            yield TextDelta("note ")
        yield ReplyEnd("end", PAID)

    return stream


async def test_notes_that_take_long_are_not_idle_time_and_are_not_shown() -> None:
    model = CannedModel()
    events: list[Event] = []

    def publish(event: Event) -> None:
        events.append(event)
        watchdog.touch()

    desk = Desk(model, publish=publish)
    model._replies.append(slow(desk.clock, 20.0, 9))
    watchdog = Watchdog(Limits(wall_seconds=0, idle_seconds=60), desk.clock)
    watching = asyncio.create_task(watchdog.watch())
    await desk.write()
    assert not watching.done()
    watching.cancel()
    assert [event for event in events if not isinstance(event, ReplyDelta)] == []
    assert {(event.text, event.thinking) for event in events if isinstance(event, ReplyDelta)} == {("", "")}


async def test_of_many_pieces_few_signs_of_life_are_given() -> None:
    model = CannedModel()
    desk = Desk(model)
    model._replies.append(slow(desk.clock, 0.01, 300))
    await desk.write()
    assert 2 <= len(desk.events) <= 5


def silent(clock: FakeClock, seconds: float) -> CannedReply:
    async def stream(_request: ModelRequest) -> AsyncIterator[Delta]:
        await clock.sleep(seconds)
        yield TextDelta("note ")
        raise ModelError("stall", f"silent for {seconds:g} s")

    return stream


async def test_a_model_that_falls_silent_keeps_a_task_waiting_once_and_not_for_each_try() -> None:
    model = CannedModel()
    desk = Desk(model)
    model._replies += [silent(desk.clock, 120.0)] * 3
    assert "silent for 120 s" in await desk.fails()
    assert desk.clock.monotonic() == 120.0
    assert not any(isinstance(event, ModelRetried) for event in desk.events)
    assert len(desk.wasted) == 1


async def test_how_long_one_write_took_says_nothing_of_the_next() -> None:
    model = CannedModel()
    desk = Desk(model)
    model._replies += [silent(desk.clock, 120.0), silent(desk.clock, 1.0), says(NOTES)]
    await desk.fails()
    assert (await desk.write()).text == NOTES
