"""Prunings in the log of a session: what the model sees changes, what was said stays."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kugetsu.context import ArgumentsStub, ResultStub, Stub
from kugetsu.messages import AssistantMessage, Message, ToolResult, user
from kugetsu.sessions import (
    Entry,
    Forked,
    Heard,
    Pruned,
    Renewed,
    Replied,
    Rewound,
    Session,
    decode_entry,
    encode_entry,
)
from sessions.session_lab import Writer, a_reply, a_turn, writers

PROMPT = Heard(user("do it"))


def told(session: Session) -> dict[str, Any]:
    """All that a session says, but for what it keeps only to go back."""
    hidden = {"_conversation", "_changes", "_settled"}
    said = vars(session) | vars(session._conversation)
    return {name: value for name, value in said.items() if name not in hidden} | {"from": session.same_from}


def stubs_for(messages: list[Message], choices: list[bool]) -> tuple[Stub, ...]:
    """Stubs for some of the calls, results and arguments in turn."""
    calls = [call.id for message in messages if isinstance(message, AssistantMessage) for call in message.calls]
    chosen = [call for call, wanted in zip(calls, choices, strict=False) if wanted]
    return tuple(
        ResultStub(call, f"[pruned: {call}]") if place % 3 else ArgumentsStub(call, '{"a":"[pruned: x]"}')
        for place, call in enumerate(chosen)
    )


@st.composite
def pruned_logs(draw: st.DrawFn) -> list[Entry]:
    """A log into which prunings were written wherever there is room for one."""
    writer: Writer = draw(writers())
    entries: list[Entry] = []
    session = Session()
    for entry in writer.entries:
        entries.append(entry)
        session.apply(entry)
        if session.open is None and session.turn and draw(st.booleans()):
            stubs = stubs_for(session.messages, draw(st.lists(st.booleans(), max_size=12)))
            if stubs:
                entries.append(Pruned(session.turn, stubs))
                session.apply(entries[-1])
    return entries


@given(pruned_logs())
def test_a_pruned_session_says_the_same_of_everything_but_the_texts(entries: list[Entry]) -> None:
    session, whole = Session(entries), Session(entry for entry in entries if not isinstance(entry, Pruned))
    assert (session.tally, session.turns(), session.turn, session.open) == (
        whole.tally,
        whole.turns(),
        whole.turn,
        whole.open,
    )
    assert (session.call_ids, session.circling, session.snapshot) == (whole.call_ids, whole.circling, whole.snapshot)
    for mine, other in zip(session.messages, whole.messages, strict=True):
        assert type(mine) is type(other)
        if isinstance(mine, ToolResult) and isinstance(other, ToolResult):
            assert (mine.call_id, mine.name, mine.is_error) == (other.call_id, other.name, other.is_error)
        elif isinstance(mine, AssistantMessage) and isinstance(other, AssistantMessage):
            assert [call.id for call in mine.calls] == [call.id for call in other.calls]
            assert (mine.text, mine.usage, mine.model) == (other.text, other.usage, other.model)
        else:
            assert mine == other


@given(pruned_logs(), st.integers(0, 100))
def test_a_session_that_goes_on_after_a_crash_sends_the_same_bytes(entries: list[Entry], at: int) -> None:
    cut = at % (len(entries) + 1)
    session = Session(decode_entry(encode_entry(entry)) for entry in entries[:cut])
    if not any(isinstance(entry, Rewound) for entry in entries[cut:]):
        session.settle()
    for entry in entries[cut:]:
        session.apply(entry)
    assert told(session) == told(Session(entries))


@given(pruned_logs())
def test_whoever_goes_back_sees_again_what_was_pruned_later(entries: list[Entry]) -> None:
    session = Session(entries)
    for turn in session.turns():
        again = Session([*entries, Rewound(turn, "f" * 40)])
        # The same as if everything after that turn's end had never been written, pruning included.
        end = last_end(entries, turn)
        assert again.messages == Session(entries[:end]).messages[: len(again.messages)]


def last_end(entries: list[Entry], turn: int) -> int:
    """How many entries there were when a turn had just ended."""
    session = Session()
    for place, entry in enumerate(entries):
        session.apply(entry)
        if turn == 0 and isinstance(entry, Replied):
            return place
        if turn and session.open is None and session.turns()[-1:] == [turn]:
            return place + 1
    return len(entries)


def test_a_fork_has_what_its_origin_saw() -> None:
    entries: list[Entry] = [PROMPT, *a_turn(1, calls=2), Pruned(1, (ResultStub("c1.0", "[pruned: x]"),)), *a_turn(2)]
    fork = Session([*entries, Forked("other"), Renewed()])
    assert fork.messages == Session(entries).messages
    assert fork.same_from == 4


def test_a_settled_session_keeps_nothing_of_what_was_pruned() -> None:
    session = Session([PROMPT, *a_turn(1, calls=1), Pruned(1, (ResultStub("c1.0", "[pruned: x]"),))])
    session.settle()
    session.settle()
    for entry in a_turn(2, calls=1):
        session.apply(entry)
    session.apply(Pruned(2, (ResultStub("c2.0", "[pruned: y]"),)))
    assert [message.text for message in session.messages if isinstance(message, ToolResult)] == [
        "[pruned: x]",
        "[pruned: y]",
    ]
    assert all(not change.removed for change in session._conversation._changes)
    assert session.same_from == 5
    with pytest.raises(ValueError, match="while it is worked on"):
        session.apply(Rewound(1))


@pytest.mark.parametrize(
    ("entries", "complaint"),
    [
        ([*a_turn(1, calls=1), Pruned(1, (ResultStub("x", ""),))], "no call x to prune"),
        ([*a_turn(1, calls=1), Pruned(2, (ResultStub("c1.0", ""),))], "after turn 2 in turn 1"),
        ([Replied(1, a_reply(1, calls=1)), Pruned(1, ())], "after turn 1 in turn 1"),
    ],
)
def test_a_pruning_that_does_not_fit_is_not_guessed_at(entries: list[Entry], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Session([PROMPT, *entries])
