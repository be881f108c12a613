"""Requests for notes: what is asked, what is not taken, and what that may cost."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from agent.notes_desk import DEAR, NOTES, PAID, Desk, asked, worked
from kugetsu.context import SUMMARY_SYSTEM, Summary, estimate, estimate_text
from kugetsu.errors import MODEL_FAILURES, RETRYABLE, ModelError, ModelFailure
from kugetsu.events import ModelRetried
from kugetsu.messages import (
    AssistantMessage,
    Delta,
    ReplyEnd,
    Text,
    TextDelta,
    Thinking,
    ToolCall,
    Usage,
    most_tokens,
)
from kugetsu.protocols import ModelInfo, ModelRequest
from kugetsu.testing import CannedModel, says


async def test_the_request_has_no_tools_the_notes_before_and_no_reasoning() -> None:
    model = CannedModel(says(NOTES, usage=PAID))
    desk = Desk(model)
    reply = await desk.write(before=Summary("## Goal\n- the old notes"))
    assert (reply.text, reply.usage, reply.model) == (NOTES, PAID, "canned/model")
    (request,) = model.requests
    assert (request.system, request.tools, request.conversation) == (SUMMARY_SYSTEM, (), "task.summary")
    text = asked(request)
    assert text.index("## Goal\n- the old notes") < text.index("repair the parser") < text.index("At most 1,600 words")
    assert "Bring them up to date" in text
    assert not any(word in text for word in ("secret", "signed", "sealed"))
    assert (desk.wasted, desk.summarizer.unbooked) == ([], Usage())


async def test_without_notes_before_nobody_is_told_to_update_any() -> None:
    model = CannedModel(says(NOTES))
    await Desk(model).write()
    assert "Bring them up to date" not in asked(model.requests[0])
    assert "<notes>" not in asked(model.requests[0])


@pytest.mark.parametrize("window", [2_048, 4_096, 8_192, 16_384, 100_000, 1_000_000])
@pytest.mark.parametrize("ratio", [1.0, 2.0])
async def test_request_and_reply_fit_the_window_however_long_the_work_is(window: int, ratio: float) -> None:
    model = CannedModel(says("short"))
    model.info = ModelInfo(window, 16_000)
    most = min(4_000, int(window / 8 / ratio))
    before = Summary("a note. " * (most // 3))
    await Desk(model).write(worked(400, 20_000), before, most=most, ratio=ratio)
    (request,) = model.requests
    counted = ratio * (estimate_text(request.system) + sum(map(estimate, request.messages)))
    assert counted + request.max_output <= window
    assert counted <= 60_000 + 8_000
    assert request.about_tokens == pytest.approx(counted, abs=2)
    assert request.max_output >= min(most * ratio, 8_000)
    assert before.text in asked(request)


async def test_a_small_model_reads_less_where_the_notes_are_long() -> None:
    model = CannedModel(says("short"))
    model.info = ModelInfo(8_192, 4_000)
    before = Summary("a note. " * 1_200)
    await Desk(model).write(worked(400, 20_000), before)
    assert before.text in asked(model.requests[0])
    assert model.requests[0].max_output >= 2_000


async def test_a_window_without_room_for_notes_is_not_asked() -> None:
    model = CannedModel()
    model.info = ModelInfo(2_048, 1_000)
    said = await Desk(model).fails(before=Summary("a note " * 3_000))
    assert "too small for notes" in said
    assert model.requests == []


REFUSED: dict[str, tuple[AssistantMessage, str]] = {
    "empty": (AssistantMessage((), "end", PAID), "wrote no notes"),
    "blank": (AssistantMessage((Text(" \n\t "),), "end", PAID), "wrote no notes"),
    "only thoughts": (AssistantMessage((Thinking("well"),), "end", PAID), "wrote no notes"),
    "truncated": (AssistantMessage((Text(NOTES),), "length", PAID), "was cut"),
    "calling": (says(NOTES, ToolCall("c", "bash", "{}"), usage=PAID), "called bash instead"),
    "calling, it says": (AssistantMessage((Text(NOTES),), "tool_calls", PAID), "was cut"),
    "too long": (says("a word and one more " * 1_000, usage=PAID), "where 4,000 are allowed"),
}


@pytest.mark.parametrize("kind", REFUSED)
async def test_what_are_no_notes_is_refused_and_paid(kind: str) -> None:
    reply, why = REFUSED[kind]
    model = CannedModel(reply)
    desk = Desk(model)
    said = await desk.fails()
    assert why in said
    assert said.startswith("canned/model ")
    assert len(model.requests) == 1
    assert desk.wasted == [PAID]


@pytest.mark.parametrize("kind", sorted(RETRYABLE))
async def test_a_failure_that_may_pass_is_tried_three_times_and_not_for_long(kind: ModelFailure) -> None:
    model = CannedModel(*(ModelError(kind, "no luck", retry_after=9.0) for _ in range(9)))
    desk = Desk(model)
    assert "no luck" in await desk.fails()
    assert len(model.requests) == 3
    assert sum(desk.clock.waits) < 2 * 15 * 1.1
    assert [type(event) for event in desk.events] == [ModelRetried] * 2


@pytest.mark.parametrize("kind", sorted(RETRYABLE))
async def test_nobody_waits_long_for_notes(kind: ModelFailure) -> None:
    model = CannedModel(ModelError(kind, "come back later", retry_after=60.0))
    desk = Desk(model)
    assert "come back later" in await desk.fails()
    assert (len(model.requests), desk.clock.waits) == (1, [])


async def test_a_call_that_is_held_back_again_and_again_comes_to_an_end() -> None:
    model = CannedModel(*(ModelError("rate_limited", "held", retry_after=1.0, asked=False) for _ in range(1_000)))
    desk = Desk(model)
    await desk.fails()
    assert sum(desk.clock.waits) < 60


@pytest.mark.parametrize("kind", sorted(set(MODEL_FAILURES) - RETRYABLE - {"context_overflow"}))
async def test_a_failure_that_stays_is_not_tried_again(kind: ModelFailure) -> None:
    model = CannedModel(*(ModelError(kind, "never") for _ in range(9)))
    desk = Desk(model)
    assert "never" in await desk.fails()
    assert len(model.requests) == 1


@pytest.mark.parametrize("kind", MODEL_FAILURES)
async def test_one_that_broke_off_is_paid_whatever_broke_it(kind: ModelFailure) -> None:
    async def broken(_request: ModelRequest) -> AsyncIterator[Delta]:
        yield TextDelta("some notes " * 20)
        raise ModelError(kind, "gone")

    model = CannedModel(broken, says(NOTES, usage=PAID))
    model.info = DEAR
    desk = Desk(model)
    if kind in RETRYABLE or kind == "context_overflow":
        assert (await desk.write()).text == NOTES
    else:
        await desk.fails()
    (wasted,) = desk.wasted
    assert wasted.input == most_tokens(model.requests[0].messages) + len(SUMMARY_SYSTEM)
    assert wasted.cost_usd == pytest.approx(wasted.input * 1e-5 + wasted.output * 1e-4)


async def test_a_reply_that_stops_without_an_end_is_paid_too() -> None:
    async def endless(_request: ModelRequest) -> AsyncIterator[Delta]:
        yield TextDelta("some notes")

    desk = Desk(CannedModel(endless, says(NOTES)))
    assert (await desk.write()).text == NOTES
    assert [usage.input > 0 for usage in desk.wasted] == [True]


async def test_a_summary_model_that_does_not_fit_is_asked_once_more_with_less() -> None:
    model = CannedModel(*(ModelError("context_overflow", "too long") for _ in range(9)))
    desk = Desk(model)
    assert "too long" in await desk.fails(messages=worked(200))
    first, second = model.requests
    assert len(asked(second)) < len(asked(first)) / 2
    assert [getattr(event, "failure", "") for event in desk.events] == ["context_overflow"]


@pytest.mark.parametrize("replies", [0, 5])
async def test_a_cut_in_mid_reply_is_kept_for_the_books_and_a_whole_reply_counts_as_it_is(replies: int) -> None:
    async def hanging(_request: ModelRequest) -> AsyncIterator[Delta]:
        yield TextDelta("notes " * 50)
        if replies:
            yield ReplyEnd("end", PAID)
        await asyncio.Event().wait()

    model = CannedModel(hanging)
    model.info = DEAR
    desk = Desk(model)
    writing = asyncio.create_task(desk.write())
    await asyncio.sleep(0.01)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    unbooked = desk.summarizer.unbooked
    if replies:
        assert unbooked == PAID
    else:
        assert unbooked.input >= most_tokens(model.requests[0].messages)
        assert (unbooked.cost_usd or 0) > 0.01
    assert desk.wasted == []
