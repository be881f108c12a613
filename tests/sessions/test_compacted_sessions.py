"""Compactions in the log of a session: turns go, users' words stay, and whoever goes back sees everything again."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kugetsu.context import ArgumentsStub, Exchange, ResultStub, Stub, Summary, summary_message
from kugetsu.messages import SPOKEN, AssistantMessage, Message, Text, ToolResult, Usage, UserMessage, user
from kugetsu.protocols import ModelRequest
from kugetsu.sessions import (
    Checkpoint,
    Compacted,
    Entry,
    Heard,
    Pruned,
    Replied,
    Rewound,
    Session,
    Wasted,
    decode_entry,
    encode_entry,
)
from models.model_lab import TOOLS, WIRES
from models.test_request_validity import encoded
from sessions.session_lab import writers

PROMPT = Heard(user("do it"))
NOTES = Summary("## Done\n- much", ("a.py",), ("b.py",), (Exchange("Which?", "this one"),))
SUMMARIES = st.sampled_from([NOTES, Summary(), Summary("  "), Summary("x" * 9_000, exchanges=(Exchange("", ""),) * 3)])


@st.composite
def stubs_for(draw: st.DrawFn, messages: Sequence[Message]) -> tuple[Stub, ...]:
    calls = [call.id for message in messages if isinstance(message, AssistantMessage) for call in message.calls]
    chosen = draw(st.lists(st.sampled_from(calls), unique=True)) if calls else []
    return tuple(
        ResultStub(call, f"[pruned: {call}]") if draw(st.booleans()) else ArgumentsStub(call, '{"a":"[pruned: x]"}')
        for call in chosen
    )


@st.composite
def changes(draw: st.DrawFn, session: Session) -> Entry | None:
    """A pruning or a compaction, if there is room for one."""
    if session.open is not None or not session.turn:
        return None
    kind = draw(st.sampled_from(["", "prune", "compact", "compact"]))
    if kind == "prune" and (stubs := draw(stubs_for(session.messages))):
        return Pruned(session.turn, stubs)
    if kind == "compact" and (turns := session.seen_turns()[:-1]):
        usage = Usage(1_000, 100, 10, 0.5)
        return Compacted(session.turn, draw(st.sampled_from(turns)), draw(SUMMARIES), "cheap/model", usage)
    return None


@st.composite
def compacted_logs(draw: st.DrawFn) -> list[Entry]:
    """A log into which prunings and compactions were written wherever there is room for one."""
    entries: list[Entry] = []
    session = Session()
    for entry in draw(writers()).entries:
        entries.append(entry)
        session.apply(entry)
        while change := draw(changes(session)):
            entries.append(change)
            session.apply(change)
    return entries


def whole(entries: Sequence[Entry]) -> Session:
    """The session to which nothing of the kind ever happened, but for its price."""
    kept = (entry for entry in entries if not isinstance(entry, Pruned))
    return Session(Wasted(entry.usage) if isinstance(entry, Compacted) else entry for entry in kept)


def said(messages: Sequence[Message]) -> list[Message]:
    return [message for message in messages if isinstance(message, UserMessage) and message.origin in SPOKEN]


def replies(messages: Sequence[Message]) -> list[str]:
    return [message.text for message in messages if isinstance(message, AssistantMessage)]


@given(compacted_logs())
def test_a_compacted_session_says_the_same_of_everything_but_what_the_model_sees(entries: list[Entry]) -> None:
    session, other = Session(entries), whole(entries)
    assert (session.tally, session.allowance, session.used) == (other.tally, other.allowance, other.used)
    assert (session.turns(), session.turn, session.open) == (other.turns(), other.turn, other.open)
    assert (session.call_ids, session.circling, session.snapshot) == (other.call_ids, other.circling, other.snapshot)
    assert (session.replies, session.rewound) == (other.replies, other.rewound)
    assert session.awaits_reply == other.awaits_reply


@given(compacted_logs())
def test_what_users_said_is_all_there_word_for_word_and_work_is_there_from_where_it_stays(entries: list[Entry]) -> None:
    session, other = Session(entries), whole(entries)
    assert said(session.messages) == said(other.messages)
    seen = session.seen_turns()
    assert replies(session.messages) == replies(other.messages)[session.replies - len(seen) :]
    assert session.turns()[session.replies - len(seen) + 1 :] == seen
    notes = [one for one in session.messages if isinstance(one, UserMessage) and one.origin == "summary"]
    if session.summary is None:
        assert (notes, session.through) == ([], 0)
        assert len(session.messages) == len(other.messages)
        return
    assert notes == [summary_message(session.summary, session.through)]
    place = session.messages.index(notes[0])
    assert said(session.messages[:place]) == session.messages[:place], "only what users said stands before it"
    for mine, others in zip(reversed(session.messages[place + 1 :]), reversed(other.messages), strict=False):
        assert type(mine) is type(others)
        if isinstance(mine, UserMessage):
            assert mine == others


@given(compacted_logs())
def test_calls_and_results_stay_together(entries: list[Entry]) -> None:
    messages = iter(Session(entries).messages)
    for message in messages:
        assert not isinstance(message, ToolResult), "a result without its call"
        for call in message.calls if isinstance(message, AssistantMessage) else ():
            result = next(messages)
            assert isinstance(result, ToolResult)
            assert result.call_id == call.id


@given(compacted_logs())
def test_whoever_goes_back_sees_what_stood_there_at_the_end_of_that_turn(entries: list[Entry]) -> None:
    shown: dict[int, tuple[list[Message], list[int], Summary | None, int]] = {}
    session = Session()
    for entry in entries:
        before = list(session.messages)
        opening = isinstance(entry, Replied) and 0 not in shown
        results = len(session.open.reply.calls) if session.open else 0
        session.apply(entry)
        if opening:
            shown[0] = (before, [], None, 0)
        if isinstance(entry, Checkpoint):
            ended = session.messages[: len(before) + 1 + results]
            shown[entry.turn] = (ended, session.seen_turns(), session.summary, session.through)
    for turn in session.turns():
        again = Session([*entries, Rewound(turn, "f" * 40)])
        assert (list(again.messages), again.seen_turns(), again.summary, again.through) == shown[turn]
        assert again.turns() == [other for other in session.turns() if other <= turn]


@given(compacted_logs())
def test_what_a_provider_counted_is_taken_only_for_what_it_was_given(entries: list[Entry]) -> None:
    given_to: dict[int, list[Message]] = {}
    session = Session()
    for entry in entries:
        if isinstance(entry, Replied):
            given_to[entry.turn] = list(session.messages)
        session.apply(entry)
    places = [place for place, message in enumerate(session.messages) if isinstance(message, AssistantMessage)]
    for turn, place in zip(session.seen_turns(), places, strict=True):
        assert place < session.same_from or session.messages[:place] == given_to[turn]


@pytest.mark.parametrize("wire", WIRES)
@given(compacted_logs(), st.integers(0, 100))
def test_a_session_that_goes_on_after_a_crash_sends_the_same_bytes(wire: str, entries: list[Entry], at: int) -> None:
    entries = [strange(entry) for entry in entries]
    cut = at % (len(entries) + 1)
    session = Session(decode_entry(encode_entry(entry)) for entry in entries[:cut])
    if not any(isinstance(entry, Rewound) for entry in entries[cut:]):
        session.settle()
    for entry in entries[cut:]:
        session.apply(entry)
    one, other = (
        encoded(wire, ModelRequest("s", list(messages), TOOLS), images=True)  # type: ignore[arg-type]  # from WIRES
        for messages in (session.messages, Session(entries).messages)
    )
    assert one == other


def strange(entry: Entry) -> Entry:
    """The same entry, with half a character in what was said and in notes."""
    match entry:
        case Heard():
            content = (Text("\ud800"), *entry.message.content)
            return Heard(msgspec.structs.replace(entry.message, content=content))
        case Compacted():
            return msgspec.structs.replace(
                entry, summary=Summary("\udfff", ("a\ud800",), (), (Exchange("\ud800", ""),))
            )
        case _:
            return entry


@given(compacted_logs())
def test_every_compaction_survives_its_json(entries: list[Entry]) -> None:
    assert [decode_entry(encode_entry(entry)) for entry in entries] == entries
