import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kugetsu.messages import AssistantMessage, ToolResult, Usage, user
from kugetsu.sessions import (
    Checkpoint,
    Entry,
    Finished,
    Forked,
    Heard,
    OpenTurn,
    Renewed,
    Replied,
    Rewound,
    Session,
    Started,
)
from sessions.session_lab import Writer, a_reply, a_result, a_turn, writers

PROMPT = Heard(user("do it"))


def state_of(session: Session) -> dict[str, object]:
    return vars(session) | {
        "_conversation": vars(session._conversation),
        "turns": session.turns(),
        "awaits_reply": session.awaits_reply,
    }


@given(writers())
def test_a_session_tells_the_conversation_that_its_log_was_written_from(writer: Writer) -> None:
    session = Session(writer.entries)
    assert session.messages == writer.messages
    assert session.turns() == writer.turns
    assert session.turn == writer.turn
    assert (session.tally.turns, session.tally.tool_calls) == (writer.replies, writer.finished)
    if writer.open is None:
        assert session.open is None
    else:
        assert session.open == OpenTurn(writer.turn, writer.open, writer.started, writer.results)


@given(writers())
def test_every_call_of_a_conversation_is_followed_by_its_one_result_in_source_order(writer: Writer) -> None:
    messages = iter(Session(writer.entries).messages)
    for message in messages:
        assert not isinstance(message, ToolResult), "a result without its call"
        if isinstance(message, AssistantMessage):
            for call in message.calls:
                result = next(messages)
                assert isinstance(result, ToolResult)
                assert result.call_id == call.id


@given(writers(), st.integers(0, 100))
def test_a_session_that_goes_on_after_a_crash_is_the_one_that_was_never_cut(writer: Writer, at: int) -> None:
    cut = at % (len(writer.entries) + 1)
    session = Session(writer.entries[:cut])
    for entry in writer.entries[cut:]:
        session.apply(entry)
    assert state_of(session) == state_of(Session(writer.entries))


@given(writers())
def test_a_rewound_session_is_one_to_which_the_rest_never_happened(writer: Writer) -> None:
    session = Session(writer.entries)
    for turn in session.turns():
        again = Session([*writer.entries, Rewound(turn, "f" * 40)])
        assert again.messages == session.messages[: len(again.messages)]
        assert again.turns() == [other for other in session.turns() if other <= turn]
        assert (again.open, again.rewound, again.snapshot) == (None, True, "f" * 40)
        # But what was used was used, and no name or number is given twice.
        assert (again.tally, again.turn, again.call_ids) == (session.tally, session.turn, session.call_ids)


@given(writers())
def test_what_was_used_before_another_try_does_not_count_against_its_limits(writer: Writer) -> None:
    session = Session([*writer.entries, Renewed()])
    assert (session.used.turns, session.used.tool_calls, session.used.usage.tokens) == (0, 0, 0)
    assert session.tally == Session(writer.entries).tally


def test_a_new_session_is_empty_and_waits_for_somebody_to_speak() -> None:
    session = Session()
    assert (session.messages, session.open, session.turn, session.turns()) == ([], None, 0, [])
    assert not session.awaits_reply


def test_it_is_the_models_turn_after_a_message_and_after_results_but_not_after_words_alone() -> None:
    assert Session([PROMPT]).awaits_reply
    assert Session([PROMPT, *a_turn(1, calls=2)]).awaits_reply
    assert not Session([PROMPT, *a_turn(1)]).awaits_reply


def test_while_a_turn_is_open_it_is_not_the_models_turn_to_speak() -> None:
    session = Session([PROMPT, Replied(1, a_reply(1, calls=1))])
    assert not session.awaits_reply
    assert session.messages == [PROMPT.message]


def test_an_open_turn_knows_what_was_started_and_what_is_unanswered() -> None:
    session = Session(
        [PROMPT, Replied(1, a_reply(1, calls=3)), Started(1, ("c1.0", "c1.2")), Finished(1, a_result("c1.2"))]
    )
    assert session.open is not None
    assert session.open.started == {"c1.0", "c1.2"}
    assert [call.id for call in session.open.unanswered] == ["c1.0", "c1.1"]


def test_results_stand_in_source_order_whatever_finished_first() -> None:
    entries: list[Entry] = [Replied(1, a_reply(1, calls=3)), Started(1, ("c1.0", "c1.1", "c1.2"))]
    entries += [Finished(1, a_result(name)) for name in ("c1.2", "c1.0", "c1.1")]
    session = Session([PROMPT, *entries, Checkpoint(1)])
    results = [message.call_id for message in session.messages if isinstance(message, ToolResult)]
    assert results == ["c1.0", "c1.1", "c1.2"]


def test_what_is_heard_during_a_turn_follows_it() -> None:
    late = user("not so fast", "steering")
    begun, ended = a_turn(1, calls=1)[:2], a_turn(1, calls=1)[2:]
    session = Session([PROMPT, *begun, Heard(late), *ended])
    assert session.messages[-1] == late
    assert isinstance(session.messages[-2], ToolResult)
    session.apply(Rewound(1))
    assert late not in session.messages


def test_what_is_heard_during_a_turn_that_is_rewound_does_not_come_back_later() -> None:
    entries: list[Entry] = [PROMPT, *a_turn(1), Replied(2, a_reply(2, calls=1)), Heard(user("not so fast", "steering"))]
    session = Session([*entries, Rewound(1), *a_turn(3)])
    assert user("not so fast", "steering") not in session.messages


def test_turn_0_ends_before_the_first_reply() -> None:
    session = Session([PROMPT, Heard(user("and that")), *a_turn(1), Heard(user("more")), Rewound(0)])
    assert session.messages == [PROMPT.message, user("and that")]
    assert session.awaits_reply


def test_a_worktree_has_to_be_put_back_until_the_model_has_replied_on_it() -> None:
    session = Session([PROMPT, *a_turn(1, snapshot="a" * 40), *a_turn(2), Rewound(1, "a" * 40)])
    assert (session.rewound, session.snapshot) == (True, "a" * 40)
    # Whoever is killed now, before or after this, may not have put it back yet.
    for harmless in (Renewed(), Forked("b"), Heard(user("another way", "steering"))):
        session.apply(harmless)
        assert session.rewound
    session.apply(Replied(3, a_reply(3)))
    assert not session.rewound


def test_the_last_checkpoint_says_what_the_worktree_held() -> None:
    session = Session([PROMPT, *a_turn(1, snapshot="a" * 40), Replied(2, a_reply(2))])
    assert session.snapshot == "a" * 40


def test_what_a_fork_inherits_was_used_up_by_the_other_task() -> None:
    session = Session([PROMPT, *a_turn(1, calls=1), Forked("other")])
    assert (session.tally.turns, session.tally.spent_usd, session.used.usage) == (0, 0.0, Usage())
    assert session.turn == 1
    assert len(session.messages) == 3
    session.apply(Replied(2, a_reply(2)))
    assert session.used.turns == 1


def test_a_tally_knows_the_last_words_and_the_money_even_when_a_price_is_unknown() -> None:
    session = Session()
    session.apply(Replied(1, a_reply(1, cost=0.5, text="first")))
    session.apply(Checkpoint(1))
    session.apply(Replied(2, a_reply(2, cost=None, text="last")))
    assert (session.tally.last_text, session.tally.spent_usd) == ("last", 0.5)
    assert session.tally.usage == Usage(200, 20, 10, None)
    session.apply(Renewed())
    assert (session.used.spent_usd, session.used.usage.tokens) == (0.0, 0)


@pytest.mark.parametrize(
    ("entries", "complaint"),
    [
        ([*a_turn(1), Replied(1, a_reply(1))], "turn 1 after turn 1"),
        ([*a_turn(2), Replied(1, a_reply(1))], "turn 1 after turn 2"),
        ([Replied(1, a_reply(1)), Replied(2, a_reply(2))], "turn 2 after turn 1"),
        ([*a_turn(1), *a_turn(2), Rewound(1), Replied(2, a_reply(2))], "turn 2 after turn 2"),
        ([Started(1, ("c1.0",))], "turn 1 is not open"),
        ([*a_turn(1, calls=1), Finished(1, a_result("c1.0"))], "turn 1 is not open"),
        ([Replied(1, a_reply(1, calls=1)), Finished(2, a_result("c1.0"))], "turn 2 is not open"),
        ([Replied(1, a_reply(1, calls=1)), Checkpoint(1)], "without a result of c1.0"),
        ([Replied(1, a_reply(1, calls=1)), Started(1, ("x",))], "no call x"),
        ([Replied(1, a_reply(1, calls=1)), Finished(1, a_result("x"))], "no call x"),
        (
            [Replied(1, a_reply(1, calls=2)), Finished(1, a_result("c1.0")), Finished(1, a_result("c1.0"))],
            "no call c1.0 without a result",
        ),
        ([Rewound(0)], "no turn 0 to rewind to"),
        ([*a_turn(1), Rewound(2)], "no turn 2 to rewind to"),
        ([Replied(1, a_reply(1)), Rewound(1)], "no turn 1 to rewind to"),
        ([*a_turn(1), *a_turn(2), Rewound(1), Rewound(2)], "no turn 2 to rewind to"),
    ],
)
def test_a_damaged_log_is_not_guessed_at(entries: list[Entry], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Session([PROMPT, *entries])


def test_a_new_entry_takes_as_long_after_many_turns_as_after_few() -> None:
    def seconds(before: int) -> float:
        session = Session([PROMPT, *(entry for turn in range(1, before + 1) for entry in a_turn(turn, calls=2))])
        new = [entry for turn in range(before + 1, before + 201) for entry in a_turn(turn, calls=2)]
        started = time.perf_counter()
        for entry in new:
            session.apply(entry)
        return time.perf_counter() - started

    few, many = (min(seconds(before) for _ in range(5)) for before in (0, 5_000))
    assert many < 5 * few  # it would be 25 times as long if each entry looked at what came before


def test_a_session_keeps_its_own_count_when_its_tally_is_changed_later() -> None:
    session = Session([PROMPT, *a_turn(1), Renewed()])
    allowance = msgspec.structs.replace(session.allowance)
    session.apply(Replied(2, a_reply(2)))
    assert session.allowance == allowance
