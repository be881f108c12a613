"""Compactions in the log of a session, case by case: what they let go of, and which are refused."""

import gc
import weakref

import pytest

from kugetsu.context import Exchange, ResultStub, Summary, summary_message
from kugetsu.messages import AssistantMessage, Text, ToolResult, Usage, UserMessage, user
from kugetsu.sessions import (
    Checkpoint,
    Compacted,
    Entry,
    Finished,
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
from sessions.session_lab import a_reply, a_result, a_turn

PROMPT = Heard(user("do it"))
NOTES = Summary("## Done\n- much", ("a.py",), ("b.py",), (Exchange("Which?", "this one"),))


class Word(str):
    """A text that can be watched: nothing else of a message can be referred to weakly."""

    __slots__ = ("__weakref__",)


def watched(session: Session, turn: int, gone: dict[str, weakref.ref[Word]]) -> None:
    """Apply a turn whose texts are watched."""
    words = {name: Word(f"{name} of turn {turn}") for name in ("reply", "result", "notice")}
    for name, word in words.items():
        gone[f"{name} {turn}"] = weakref.ref(word)
    session.apply(Replied(turn, AssistantMessage((Text(words["reply"]), *a_reply(turn, 1).calls))))
    session.apply(Finished(turn, ToolResult(f"c{turn}.0", "bash", (Text(words["result"]),))))
    session.apply(Checkpoint(turn))
    session.apply(Heard(UserMessage((Text(words["notice"]),), "notice")))


def alive(watching: dict[str, weakref.ref[Word]]) -> set[str]:
    gc.collect()
    return {name for name, word in watching.items() if word() is not None}


def test_a_settled_session_holds_nothing_of_what_was_taken_out() -> None:
    session, watching = Session([PROMPT]), dict[str, weakref.ref[Word]]()
    for turn in (1, 2, 3):
        watched(session, turn, watching)
    notes = Word("first notes")
    watching["notes"] = weakref.ref(notes)
    session.apply(Compacted(3, 1, Summary(notes)))
    del notes
    # It may still go back.
    assert alive(watching) == set(watching)
    session.settle()
    session.settle()
    left = {"reply 2", "result 2", "notice 2", "reply 3", "result 3", "notice 3", "notice 1", "notes"}
    assert alive(watching) == left
    watched(session, 4, watching)
    session.apply(Pruned(4, (ResultStub("c3.0", "[pruned: x]"),)))
    assert "result 3" not in alive(watching)
    session.apply(Compacted(4, 3, NOTES))
    assert alive(watching) == {"reply 4", "result 4", "notice 4", "notice 3"}
    with pytest.raises(ValueError, match="while it is worked on"):
        session.apply(Rewound(3))


def test_a_fork_has_what_its_origin_saw() -> None:
    entries: list[Entry] = [
        PROMPT,
        *a_turn(1),
        *a_turn(2, calls=1),
        Compacted(2, 1, NOTES, "m", Usage(5, 5)),
        *a_turn(3),
    ]
    fork = Session([*entries, Forked("other"), Renewed()])
    assert fork.messages == Session(entries).messages
    assert fork.tally.usage == Usage()
    assert fork.turns() == [0, 1, 2, 3]
    fork.apply(Rewound(1))
    assert fork.messages == Session(entries[:3]).messages


@pytest.mark.parametrize(
    ("entries", "complaint"),
    [
        ([*a_turn(1), *a_turn(2), Compacted(2, 0, NOTES)], "no turn 0 to take out"),
        ([Compacted(0, 0, NOTES)], "no turn 0 to take out"),
        ([*a_turn(1), *a_turn(2), Compacted(2, -1, NOTES)], "no turn -1 to take out"),
        ([*a_turn(1), *a_turn(2), Compacted(2, 3, NOTES)], "no turn 3 to take out"),
        ([*a_turn(1), *a_turn(2), Compacted(2, 2, NOTES)], "turn 2 is the last one and stays"),
        ([*a_turn(1), *a_turn(3), Compacted(3, 2, NOTES)], "no turn 2 to take out"),
        ([*a_turn(1), *a_turn(2), Compacted(2, 1, NOTES), Compacted(2, 1, NOTES)], "no turn 1 to take out"),
        (
            [*a_turn(1), *a_turn(2), *a_turn(3), Compacted(3, 2, NOTES), *a_turn(4), Compacted(4, 1, NOTES)],
            "no turn 1 to take out",
        ),
        ([*a_turn(1), *a_turn(2), Rewound(1), Compacted(2, 2, NOTES)], "no turn 2 to take out"),
        ([*a_turn(1), *a_turn(2), Compacted(1, 1, NOTES)], "after turn 1 in turn 2"),
        ([*a_turn(1), Replied(2, a_reply(2, calls=1)), Compacted(2, 1, NOTES)], "after turn 2 in turn 2"),
        (
            [*a_turn(1, 1), *a_turn(2), Compacted(2, 1, NOTES), Pruned(2, (ResultStub("c1.0", ""),))],
            "no call c1.0 to prune",
        ),
    ],
)
def test_a_compaction_that_does_not_fit_is_not_guessed_at(entries: list[Entry], complaint: str) -> None:
    session = Session([PROMPT, *entries[:-1]])
    before = list(session.messages), session.turns(), session.tally.usage
    with pytest.raises(ValueError, match=complaint):
        session.apply(entries[-1])
    assert (list(session.messages), session.turns(), session.tally.usage) == before


OLD = rb"""
{"type":"heard","message":{"type":"user","content":[{"type":"text","text":"do it"}],"origin":"prompt"}}
{"type":"replied","turn":1,"message":{"type":"assistant","content":[{"type":"tool_call","id":"c1","name":"bash","arguments":"{}"}],"stop":"tool_calls","usage":{"input":9,"output":1,"cached":0,"cost_usd":0.1},"model":"m"}}
{"type":"started","turn":1,"calls":["c1"]}
{"type":"finished","turn":1,"result":{"type":"tool_result","call_id":"c1","name":"bash","content":[{"type":"text","text":"long"}],"is_error":false}}
{"type":"checkpoint","turn":1,"snapshot":"abc"}
{"type":"heard","message":{"type":"user","content":[{"type":"text","text":"mind this"}],"origin":"steering"}}
{"type":"pruned","turn":1,"stubs":[{"type":"result","call":"c1","text":"[pruned: long]"}]}
{"type":"replied","turn":2,"message":{"type":"assistant","content":[{"type":"text","text":"done"}],"stop":"end","usage":{"input":9,"output":1,"cached":0,"cost_usd":0.1},"model":"m"}}
{"type":"checkpoint","turn":2,"snapshot":"abc"}
{"type":"heard","message":{"type":"user","content":[{"type":"text","text":"and this"}],"origin":"follow_up"}}
"""
"""A log as it was written before there were compactions."""


def test_a_log_from_before_there_were_compactions_reads_as_it_did() -> None:
    entries = [decode_entry(line) for line in OLD.strip().splitlines()]
    session = Session(entries)
    assert b"\n".join(map(encode_entry, entries)) == OLD.strip()
    assert [session.messages[place] for place in (0, 3, 5)] == [
        user("do it"),
        user("mind this", "steering"),
        user("and this", "follow_up"),
    ]
    assert (session.summary, session.through, session.turns(), session.same_from) == (None, 0, [0, 1, 2], 4)
    session.apply(Compacted(2, 1, NOTES))
    assert session.messages[2:] == Session(entries).messages[3:]
    assert a_result("c1") not in session.messages


def test_the_words_of_a_summary_are_part_of_the_format_of_logs() -> None:
    """A log keeps what a summary says and not how it is put: other words here, and old sessions go on otherwise than before."""
    (text,) = summary_message(NOTES, 7).content
    assert isinstance(text, Text)
    assert text.text == (
        "[What stood here was taken out of this conversation to make room: turns 1 to 7. Their work is done, and the "
        "worktree is as they left it. What the user said is kept in full. These are the notes on the rest; where they and "
        "the files differ, the files are right.]\n\n"
        "## Done\n- much\n\n"
        "## Files that were changed\n- b.py\n\n"
        "## Files that were read\n- a.py\n\n"
        "## Asked and answered, word for word\n- Asked: Which?\n  The user: this one"
    )
