"""What holds for the pruning of any conversation."""

import time
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from context.any_conversation import conversations
from context.conversations import Talk
from kugetsu.config import Wire
from kugetsu.context import estimate, prune, with_stubs
from kugetsu.context.calls import CHANGES, done_calls, superseded_reads
from kugetsu.messages import AssistantMessage, Message, ToolCall, ToolResult
from kugetsu.protocols import ModelRequest
from kugetsu.testing.request_rules import problems
from models.model_lab import TOOLS, WIRES
from models.test_request_validity import encoded

ALL = 10**9


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


@given(conversations(), SURPLUSES)
def test_of_the_last_turn_nothing_goes_while_anything_else_could(messages: list[Message], surplus: int) -> None:
    stubs = prune(messages, surplus, keep=0, recall=True).stubs
    before = prune(messages, ALL, keep=1, recall=True).stubs
    assert set(stubs) <= set(before) or set(before) <= set(stubs)


def test_long_arguments_of_an_old_turn_go_before_what_the_last_turn_gave() -> None:
    talk = (
        Talk().call("write", "old", "written", path="a.py", content="some words " * 500).call("bash", "new", "x " * 900)
    )
    assert [stub.call for stub in prune(talk.messages, 100, keep=0).stubs] == ["old"]
    assert [stub.call for stub in prune(talk.messages, ALL, keep=0).stubs] == ["old", "new"]


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
                        assert was == block or was.name != "ask"
                    else:
                        assert was == block
            case (ToolResult(), ToolResult()):
                assert (now.call_id, now.name, now.is_error) == (before.call_id, before.name, before.is_error)
                assert now == before or (len(now.text) < 400 and before.name != "ask")
            case _:
                assert now is before


@given(conversations())
def test_a_read_is_worthless_when_a_later_one_shows_as_much_or_a_change_followed_and_only_then(
    messages: list[Message],
) -> None:
    calls = [done for done in done_calls(messages, ()) if done.path and not done.result.is_error]
    found = {done.call.id: reason for done, reason in superseded_reads(calls)}
    for place, done in enumerate(calls):
        same = [later for later in calls[place + 1 :] if later.path == done.path]
        changed = [later.turn for later in same if later.call.name in CHANGES]
        again = [later.turn for later in same if later.call.name == "read" and covers(later.lines, done.lines)]
        if done.call.name != "read" or not done.lines or not (changed or again):
            assert done.call.id not in found
        else:
            reasons = [f"the file was changed in turn {turn}" for turn in changed]
            reasons += [f"the file was read again in turn {turn}" for turn in again]
            assert found[done.call.id] in reasons


def covers(one: range, other: range) -> bool:
    return one.start <= other.start and other.stop <= one.stop


def test_many_reads_of_one_file_are_looked_through_in_no_time() -> None:
    talk = Talk()
    for number in range(4_000):
        talk.call("read", f"c{number}", "a line", path="a.py", offset=number * 7 % 4_001 + 1, limit=1)
    started = time.process_time()
    prune(talk.messages, ALL, keep=5)
    assert time.process_time() - started < 0.5


def keys(arguments: str) -> object:
    try:
        decoded = msgspec.json.decode(arguments)
    except msgspec.DecodeError:
        return arguments
    return list(decoded) if isinstance(decoded, dict) else decoded
