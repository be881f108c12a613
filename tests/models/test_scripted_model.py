import asyncio

import pytest

from kugetsu.context import SUMMARY_SYSTEM
from kugetsu.errors import ConfigError, ModelError, ModelFailure
from kugetsu.messages import Message, Text, TextDelta, Thinking, ToolCall, ToolResult, Usage, user
from kugetsu.models import ScriptedModel
from kugetsu.protocols import ModelRequest
from kugetsu.rehearsal import NOTES, parse_script
from kugetsu.testing import FakeClock
from models.model_lab import REQUEST, ask, fail

FAILURES: list[ModelFailure] = [
    "authentication",
    "bad_request",
    "not_found",
    "rate_limited",
    "quota",
    "overloaded",
    "context_overflow",
    "network",
    "stall",
    "malformed",
    "refused",
]


def scripted(*turns: object, clock: FakeClock | None = None) -> ScriptedModel:
    return ScriptedModel(parse_script({"turns": list(turns)}), "scripted:test.yaml", clock or FakeClock())


async def test_entries_come_one_a_call_and_then_done_for_ever() -> None:
    model = scripted({"text": "one"}, {"text": "two"})
    assert [(await ask(model)).text for _ in range(4)] == ["one", "two", "done", "done"]


async def test_an_entry_becomes_a_whole_reply() -> None:
    turn = {
        "thinking": "hm",
        "text": "I will read",
        "tool_calls": [{"name": "read", "arguments": {"path": "x"}}, {"name": "bash", "arguments": "no json"}],
        "usage": {"input": 10, "output": 2, "cached": 5, "cost_usd": 0.5},
    }
    reply = await ask(scripted(turn))
    assert reply.content == (
        Thinking("hm"),
        Text("I will read"),
        ToolCall("call_1_1", "read", '{"path":"x"}'),
        ToolCall("call_1_2", "bash", "no json"),
    )
    assert (reply.stop, reply.usage, reply.model) == ("tool_calls", Usage(10, 2, 5, 0.5), "scripted:test.yaml")


async def test_usage_is_nothing_unless_it_is_given() -> None:
    assert (await ask(scripted({"text": "x"}))).usage == Usage(0, 0, 0, 0.0)


async def test_a_reply_can_be_cut() -> None:
    assert (await ask(scripted({"text": "x", "stop": "length"}))).stop == "length"


async def test_text_comes_in_a_few_pieces() -> None:
    pieces = [
        delta.text async for delta in scripted({"text": "0123456789"}).stream(REQUEST) if isinstance(delta, TextDelta)
    ]
    assert len(pieces) == 4
    assert "".join(pieces) == "0123456789"


async def test_ids_of_calls_are_unique_in_a_conversation() -> None:
    call = {"name": "ls", "id": "same"}
    model = scripted({"tool_calls": [call, call]}, {"tool_calls": [call]})
    first = await ask(model)
    messages: list[Message] = [user("go"), first, *(ToolResult(c.id, "ls", (Text("x"),)) for c in first.calls)]
    second = await ask(model, ModelRequest("", messages))
    assert [c.id for c in (*first.calls, *second.calls)] == ["same", "same_2", "same_3"]


@pytest.mark.parametrize("kind", FAILURES)
async def test_a_failing_entry_fails_its_call_and_the_next_serves_the_retry(kind: ModelFailure) -> None:
    model = scripted({"fail": kind}, {"text": "well"})
    error = await fail(model)
    assert (error.kind, error.retry_after) == (kind, None)
    assert str(error) == f"scripted:test.yaml: rehearsed failure `{kind}` of entry 1"
    assert (await ask(model)).text == "well"


async def test_delays_are_waited_for_on_the_clock() -> None:
    clock = FakeClock()
    model = scripted({"delay": 3600, "text": "x"}, {"delay": 5, "fail": "stall"}, clock=clock)
    await ask(model)
    await fail(model)
    assert clock.waits == [3600, 5]
    assert clock.monotonic() == 3605


async def test_a_delay_can_be_cancelled() -> None:
    call = asyncio.ensure_future(ask(scripted({"delay": 9}, clock=FakeClock(auto=False))))
    await asyncio.sleep(0.01)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


def asked(replies: int, conversation: str = "t1") -> ModelRequest:
    return ModelRequest("", [user("x")], conversation=conversation, replies=replies)


async def text_of(model: ScriptedModel, request: ModelRequest) -> str:
    return "".join([delta.text async for delta in model.stream(request) if isinstance(delta, TextDelta)])


async def test_a_conversation_that_goes_on_elsewhere_gets_the_entry_that_follows_from_its_replies() -> None:
    turns = ({"text": "one"}, {"fail": "network"}, {"text": "two"}, {"text": "three"})
    assert await text_of(scripted(*turns), asked(2)) == "three"
    assert await text_of(scripted(*turns), asked(0)) == "one"
    assert await text_of(scripted(*turns), asked(9)) == "done"


async def test_a_reply_that_was_lost_is_said_again_and_a_failure_is_not() -> None:
    model = scripted({"text": "one"}, {"fail": "network"}, {"text": "two"})
    assert [await text_of(model, asked(0)) for _ in range(2)] == ["one", "one"]
    with pytest.raises(ModelError):
        await text_of(model, asked(1))
    assert [await text_of(model, asked(1)) for _ in range(2)] == ["two", "two"]
    assert await text_of(model, asked(0)) == "one"


async def test_a_failure_can_say_how_long_to_wait() -> None:
    assert (await fail(scripted({"fail": "rate_limited", "retry_after": 90}))).retry_after == 90
    assert (await fail(scripted({"fail": "rate_limited"}))).retry_after is None


@pytest.mark.parametrize("turn", [{"fail": "rate_limited", "retry_after": -1}, {"text": "x", "retry_after": 1}])
def test_a_wait_that_makes_no_sense_is_refused(turn: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="`retry_after` must be 0 or more, beside `fail`"):
        scripted(turn)


NOTES_REQUEST = ModelRequest(SUMMARY_SYSTEM, [user("<work>...</work>")], conversation="t1.summary")


def with_summaries(turns: list[object], *summaries: object) -> ScriptedModel:
    script = parse_script({"turns": turns, "summaries": list(summaries)})
    return ScriptedModel(script, "scripted:test.yaml", FakeClock())


async def test_summaries_come_one_by_one_and_then_the_same_notes_for_ever() -> None:
    first = {"text": "## Done\n- it", "usage": {"input": 9, "output": 3, "cost_usd": 0.5}}
    model = with_summaries([], first, {"text": "more", "stop": "length"})
    reply = await ask(model, NOTES_REQUEST)
    assert (reply.text, reply.stop, reply.usage) == ("## Done\n- it", "end", Usage(9, 3, 0, 0.5))
    reply = await ask(model, NOTES_REQUEST)
    assert (reply.text, reply.stop) == ("more", "length")
    assert [(await ask(model, NOTES_REQUEST)).text for _ in range(2)] == [NOTES.text] * 2


async def test_a_summary_uses_up_no_turn_and_a_turn_no_summary() -> None:
    model = with_summaries([{"text": "one"}, {"text": "two"}], {"text": "notes"})
    said = [(await ask(model, request)).text for request in (REQUEST, NOTES_REQUEST, REQUEST, NOTES_REQUEST, REQUEST)]
    assert said == ["one", "notes", "two", NOTES.text, "done"]


async def test_failing_summaries_disturb_no_conversation_that_is_found_by_its_replies() -> None:
    turns: list[object] = [{"text": "one"}, {"fail": "network"}, {"text": "two"}]
    model = with_summaries(turns, {"fail": "overloaded", "retry_after": 7}, {"delay": 5, "text": "notes"})
    assert await text_of(model, asked(0)) == "one"
    error = await fail(model, NOTES_REQUEST)
    assert (error.kind, error.retry_after) == ("overloaded", 7)
    assert str(error) == "scripted:test.yaml: rehearsed failure `overloaded` of summary 1"
    with pytest.raises(ModelError, match="of entry 2"):
        await text_of(model, asked(1))
    assert await text_of(model, NOTES_REQUEST) == "notes"
    assert await text_of(model, asked(1)) == "two"
    assert await text_of(model, asked(0)) == "one"


def test_a_script_says_how_large_the_window_is() -> None:
    for said, window, longest in (({}, 200_000, 32_000), ({"window": 9_000}, 9_000, 9_000)):
        info = ScriptedModel(parse_script({"turns": [], **said}), "scripted:test.yaml", FakeClock()).info
        assert (info.context_window, info.max_output) == (window, longest)
