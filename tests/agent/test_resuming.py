import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from kugetsu.agent import Inbox
from kugetsu.errors import AnswerNeededError, LeaseLostError, LimitReachedError, PausedError, WorkspaceError
from kugetsu.events import QuestionAsked
from kugetsu.messages import AssistantMessage, ToolResult, UserMessage
from kugetsu.sessions import Checkpoint, Entry, Finished, Heard, Renewed, Replied, Rewound, Session, Started
from kugetsu.tasks import Limits, Note
from kugetsu.testing import CannedReply, MemoryJournal, says
from support.agent_bench import Bench, call

STORY: list[CannedReply] = [
    says("look", call("look", "c1", text="a"), call("look", "c2", text="b")),
    says("change", call("change", "c3", text="c"), call("command", "c4", text="d"), call("look", "c5", text="e")),
    says("again", call("command", "c6", text="f")),
    says("done"),
]


def kinds(entries: list[Entry]) -> list[str]:
    return [type(entry).__name__ for entry in entries]


async def test_a_turn_is_written_down_in_the_order_in_which_things_depend_on_each_other(bench: Bench) -> None:
    await bench.agent(STORY[1], STORY[3]).run("do it")
    assert kinds(bench.journal.entries) == [
        "Heard",
        *("Replied", "Started", "Finished"),
        *("Started", "Finished"),
        *("Started", "Finished", "Checkpoint"),
        *("Replied", "Checkpoint"),
    ]
    assert bench.journal.entries[-3] == Checkpoint(1, "snapshot-1")
    assert bench.journal.entries[-1] == Checkpoint(2, "snapshot-1")


async def test_only_turns_that_could_have_written_take_a_snapshot(bench: Bench) -> None:
    await bench.agent(*STORY).run("do it")
    assert bench.snapshots == [2, 3]


async def test_from_every_point_of_the_log_a_later_run_comes_to_the_same_end(bench: Bench) -> None:
    await bench.agent(*STORY).run("do it")
    whole = list(bench.journal.entries)
    conversation = Session(whole).messages
    for length in range(len(whole) + 1):
        kept = whole[:length]
        bench.journal, bench.spans = MemoryJournal(kept), []
        paid = sum(isinstance(entry, Replied) for entry in kept)
        agent = bench.agent(*STORY[paid:])
        assert await agent.run("do it") == "done"
        assert len(bench.model.requests) == len(STORY) - paid
        begun = {name for entry in kept if isinstance(entry, Started) for name in entry.calls}
        had = {entry.result.call_id for entry in kept if isinstance(entry, Finished)}
        lost = {name for name in begun - had if name in {"c3", "c4", "c6"}}
        for message, expected in zip(agent.session.messages, conversation, strict=True):
            if isinstance(message, ToolResult) and message.call_id in lost:
                assert "Interrupted" in message.text
                assert message.is_error
            else:
                assert message == expected
        ran = sorted(text for kind, text in bench.spans if kind == "start")
        names = dict(zip("abcdef", ("c1", "c2", "c3", "c4", "c5", "c6"), strict=True))
        assert ran == [text for text, name in names.items() if name not in had | lost]


async def test_an_interrupted_run_writes_nothing_and_the_next_one_goes_on(bench: Bench) -> None:
    agent = bench.agent(says("", call("hang", "c1", text="x")))
    running = asyncio.create_task(agent.run("do it"))
    while not bench.spans:
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait({running})
    assert kinds(bench.journal.entries) == ["Heard", "Replied", "Started"]
    assert await bench.agent(says("done"), call_seconds=0.2).run("do it") == "done"
    assert [entry.result.is_error for entry in bench.journal.entries if isinstance(entry, Finished)] == [True]


async def test_a_question_ends_the_run_and_its_answer_becomes_the_result(bench: Bench) -> None:
    reply = says(
        "", call("change", "c1", text="a"), call("ask", "c2", text="red or blue?"), call("look", "c3", text="b")
    )
    with pytest.raises(AnswerNeededError, match="red or blue"):
        await bench.agent(reply).run("do it")
    assert [event.question for event in bench.events if isinstance(event, QuestionAsked)] == ["red or blue?"]
    with pytest.raises(AnswerNeededError):
        await bench.agent().run("do it")
    inbox = Inbox()
    inbox.hear([Note(7, "answer", "blue")])
    agent = bench.agent(says("done"), inbox=inbox)
    assert await agent.run("do it") == "done"
    assert [result.text for result in bench.results] == ["echo a", "blue", "echo b"]
    assert bench.journal.taken == [7]
    assert [text for kind, text in bench.spans if kind == "start"] == ["a", "b"]


async def test_a_pause_takes_effect_when_the_turn_is_closed(bench: Bench) -> None:
    agent = bench.agent(*STORY)
    agent.pausing = True
    with pytest.raises(PausedError):
        await agent.run("do it")
    assert kinds(bench.journal.entries) == ["Heard"]
    agent = bench.agent(*STORY)
    running = asyncio.create_task(agent.run("do it"))
    while not bench.spans:
        await asyncio.sleep(0)
    agent.pausing = True
    with pytest.raises(PausedError, match="turn 1"):
        await running
    assert await bench.agent(*STORY[1:]).run("do it") == "done"


async def test_a_retry_renews_the_budget_and_tells_what_was_tried(bench: Bench) -> None:
    limits = Limits(turns=2)
    with pytest.raises(LimitReachedError):
        await bench.agent(*STORY, limits=limits).run("do it")
    inbox = Inbox()
    inbox.hear([Note(1, "retry", "turn_limit: stopped after 2 turns")])
    agent = bench.agent(*STORY[2:], limits=limits, inbox=inbox)
    assert await agent.run("do it") == "done"
    heard = [entry for entry in bench.journal.entries if isinstance(entry, Heard | Renewed)]
    assert isinstance(heard[1], Renewed)
    assert agent.session.tally.turns == 4


async def test_notes_are_heard_once_however_often_they_are_given(bench: Bench) -> None:
    inbox = Inbox()
    for _ in range(3):
        inbox.hear([Note(1, "steering", "mind the gap"), Note(2, "follow_up", "and the tests")])
    agent = bench.agent(says("a"), says("b"), inbox=inbox)
    await agent.run("do it")
    said = [m.origin for m in agent.session.messages if isinstance(m, UserMessage)]
    assert said == ["prompt", "steering", "follow_up"]
    assert bench.journal.taken == [1, 2]


async def test_a_rewound_session_goes_on_from_its_turn_with_new_numbers(bench: Bench) -> None:
    await bench.agent(*STORY).run("do it")
    bench.journal.entries.append(Rewound(1))
    agent = bench.agent(says("other", call("look", "c1", text="z")), says("end"))
    assert await agent.run("do it") == "end"
    replies = [entry.turn for entry in bench.journal.entries if isinstance(entry, Replied)]
    assert replies == [1, 2, 3, 4, 5, 6]
    assert [m.text for m in agent.session.messages if isinstance(m, AssistantMessage)] == ["look", "other", "end"]
    assert len({c.id for m in agent.session.messages if isinstance(m, AssistantMessage) for c in m.calls}) == 3


async def test_a_lost_lease_ends_the_run_before_anything_runs(bench: Bench) -> None:
    class Fenced(MemoryJournal):
        async def append(self, *entries: Entry, taken: Sequence[int] = ()) -> None:
            if isinstance(entries[0], Replied):
                raise LeaseLostError("somebody else has it")
            await super().append(*entries, taken=taken)

    bench.journal = Fenced()
    with pytest.raises(LeaseLostError):
        await bench.agent(*STORY).run("do it")
    assert bench.spans == []


async def test_a_worktree_that_cannot_be_kept_leaves_the_turn_open_for_a_later_run(bench: Bench) -> None:
    async def full(_turn: int) -> str:
        raise WorkspaceError("no space left")

    with pytest.raises(WorkspaceError):
        await bench.agent(*STORY[1:], snapshot=full).run("do it")
    assert not isinstance(bench.journal.entries[-1], Checkpoint)
    ran = len(bench.spans)
    assert await bench.agent(*STORY[2:]).run("do it") == "done"
    assert [text for kind, text in bench.spans[ran:] if kind == "start"] == ["f"]


async def test_a_cut_reply_is_asked_on_also_by_a_later_run(bench: Bench) -> None:
    cut = msgspec.structs.replace(says("half a sen"), stop="length")
    bench.journal = MemoryJournal([Heard(UserMessage(())), Replied(1, cut), Checkpoint(1)])
    agent = bench.agent(says("tence"))
    assert await agent.run("do it") == "tence"
    assert [m.origin for m in agent.session.messages if isinstance(m, UserMessage)] == ["prompt", "notice"]


async def test_an_answer_is_to_the_question_that_was_open_and_to_no_other(bench: Bench) -> None:
    inbox = Inbox()
    inbox.hear([Note(7, "answer", "yes, delete")])
    agent = bench.agent(says("", call("ask", text="drop the tables?")), inbox=inbox)
    with pytest.raises(AnswerNeededError, match="drop the tables"):
        await agent.run("do it")
    assert bench.journal.taken == []


async def test_several_retries_before_a_run_are_heard_once(bench: Bench) -> None:
    inbox = Inbox()
    inbox.hear([Note(1, "retry", "first"), Note(2, "retry", "second")])
    agent = bench.agent(says("a"), inbox=inbox)
    await agent.run("do it")
    assert len([entry for entry in bench.journal.entries if isinstance(entry, Renewed)]) == 1
    assert bench.journal.taken == [1, 2]
