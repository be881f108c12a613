"""What holds for the pruning of any conversation."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kugetsu.config import Wire
from kugetsu.context import estimate, prune, with_stubs
from kugetsu.messages import (
    AssistantMessage,
    Image,
    InputContent,
    Message,
    ReplyContent,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    user,
)
from kugetsu.protocols import ModelRequest
from kugetsu.testing.request_rules import problems
from models.model_lab import TOOLS, WIRES
from models.test_request_validity import encoded

ALL = 10**9
SIZES = st.sampled_from([0, 5, 399, 400, 401, 1_500, 9_000])
PATHS = st.sampled_from(["a.py", "./a.py", "src/b.py", "", "/w/c.py"])
NAMES = st.sampled_from(["read", "read", "write", "edit", "bash", "ask", "no such tool!"])


@st.composite
def contents(draw: st.DrawFn) -> tuple[InputContent, ...]:
    size = draw(SIZES)
    text = (draw(st.sampled_from(["word ", "строка ", "\ud800", "{}\n", "漢字"])) * size)[:size]
    blocks: list[InputContent] = [Text(text)]
    if draw(st.integers(0, 5)) == 0:
        blocks.append(Image("aGk=", "image/png"))
    return tuple(blocks)


@st.composite
def arguments(draw: st.DrawFn, name: str) -> str:
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from(["", "{", "[1]", "nul", '"' + "x" * 500 + '"', '{"path": 5, "content": null}']))
    size = draw(SIZES)
    given: dict[str, object] = {"path": draw(PATHS)}
    if name == "read":
        given |= draw(st.sampled_from([{}, {"offset": 5}, {"offset": "2", "limit": 3}, {"limit": 10**12}]))
    else:
        given |= {"content": "c" * size, "edits": [{"oldText": "o", "newText": "n" * size}], "n": 1.5}
    return msgspec.json.encode(given).decode()


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    messages: list[Message] = [user("the task " * 200)]
    for number in range(draw(st.integers(0, 12))):
        if draw(st.integers(0, 3)) == 0:
            messages.append(user("but mind this " * 50, "steering"))
        calls = []
        for place in range(draw(st.integers(0, 3))):
            name = draw(NAMES)
            calls.append(ToolCall(f"c{number}.{place}", name, draw(arguments(name))))
        content: list[ReplyContent] = [Text("I look"), *calls]
        if draw(st.booleans()):
            content.insert(0, Thinking("thought " * 100, "signature"))
        messages.append(AssistantMessage(tuple(content), "tool_calls" if calls else "end", model="test/m"))
        messages += [ToolResult(call.id, call.name, draw(contents()), draw(st.booleans())) for call in calls]
    return messages


def tokens(messages: Sequence[Message]) -> int:
    return sum(map(estimate, messages))


def pruned(messages: Sequence[Message], surplus: int, keep: int) -> list[Message]:
    return with_stubs(messages, prune(messages, surplus, keep=keep, recall=True).stubs)


SURPLUSES = st.integers(-10, 8_000) | st.just(ALL)
KEEPS = st.integers(0, 6)


@pytest.mark.parametrize("wire", WIRES)
@given(conversations(), SURPLUSES, KEEPS)
def test_what_is_sent_after_a_pruning_is_valid(wire: Wire, messages: list[Message], surplus: int, keep: int) -> None:
    request = ModelRequest("system", pruned(messages, surplus, keep), TOOLS)
    body = msgspec.json.decode(encoded(wire, request, images=True))
    assert problems(wire, body) == []


@given(conversations(), SURPLUSES, KEEPS)
def test_a_pruning_frees_what_it_says_and_enough_when_it_can(messages: list[Message], surplus: int, keep: int) -> None:
    pruning = prune(messages, surplus, keep=keep, recall=True)
    after = with_stubs(messages, pruning.stubs)
    assert pruning.freed == pytest.approx(tokens(messages) - tokens(after), abs=2 * len(pruning.stubs))
    if pruning.freed < surplus:
        assert prune(messages, ALL, keep=keep, recall=True) == pruning


@given(conversations(), SURPLUSES, KEEPS)
def test_to_prune_twice_is_to_prune_once(messages: list[Message], surplus: int, keep: int) -> None:
    pruning = prune(messages, surplus, keep=keep, recall=True)
    once = with_stubs(messages, pruning.stubs)
    left = surplus - pruning.freed
    assert prune(once, left, keep=keep, recall=True).stubs == ()


@given(conversations(), st.integers(0, 8_000), st.integers(0, 8_000), KEEPS)
def test_a_larger_surplus_takes_all_that_a_smaller_one_does(
    messages: list[Message], one: int, other: int, keep: int
) -> None:
    less, more = (prune(messages, surplus, keep=keep).stubs for surplus in sorted((one, other)))
    assert more[: len(less)] == less


@given(conversations(), KEEPS)
def test_words_thoughts_order_and_the_last_turns_stay_as_they_are(messages: list[Message], keep: int) -> None:
    after = pruned(messages, ALL, keep)
    assert len(after) == len(messages)
    replies = [place for place, message in enumerate(messages) if isinstance(message, AssistantMessage)]
    spared = replies[-keep] if keep and len(replies) >= keep else (0 if keep else len(messages))
    for place, (before, now) in enumerate(zip(messages, after, strict=True)):
        if place >= spared and keep:
            assert now is before
        match before, now:
            case (AssistantMessage(), AssistantMessage()):
                assert msgspec.structs.replace(before, content=()) == msgspec.structs.replace(now, content=())
                for was, block in zip(before.content, now.content, strict=True):
                    if isinstance(was, ToolCall) and isinstance(block, ToolCall):
                        assert (was.id, was.name) == (block.id, block.name)
                        assert keys(was.arguments) == keys(block.arguments)
                    else:
                        assert was == block
            case (ToolResult(), ToolResult()):
                assert (now.call_id, now.name, now.is_error) == (before.call_id, before.name, before.is_error)
                assert now == before or (len(now.text) < 400 and before.name != "ask")
            case _:
                assert now is before


def keys(arguments: str) -> object:
    try:
        decoded = msgspec.json.decode(arguments)
    except msgspec.DecodeError:
        return arguments
    return list(decoded) if isinstance(decoded, dict) else decoded
