"""Runs in which stubs no longer help: old turns give way, and the run goes on."""

import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from agent.compaction_lab import Lab, texts
from kugetsu.agent import Hooks
from kugetsu.config import CompactionSettings, ContextSettings
from kugetsu.context import estimate_text
from kugetsu.errors import ModelError
from kugetsu.events import CompactionFailed, ContextCompacted, ContextPruned, Event, ModelRetried
from kugetsu.messages import (
    AssistantMessage,
    Message,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
    UserMessage,
    user,
)
from kugetsu.protocols import ModelInfo
from kugetsu.sessions import Compacted, Pruned, Session, Wasted
from kugetsu.testing import CannedModel, FakeClock, says

BLANK = AssistantMessage((Text("  "),), "end", Usage(900, 1, 0, 0.01))


async def test_a_long_run_compacts_when_stubs_no_longer_help_goes_on_and_finishes() -> None:
    lab = Lab()
    lab.model.keep = True
    agent = lab.agent()
    assert await agent.run("do it") == "done"
    assert lab.model.refused == 0
    assert agent.tally.turns == 61
    assert 3 <= len(lab.compactions) <= 12
    # Stubs come first, and most of the time are enough.
    assert len(lab.all(ContextPruned)) > len(lab.compactions)
    assert isinstance(next(e for e in lab.journal.entries if isinstance(e, Pruned | Compacted)), Pruned)
    for event, entry in zip(lab.all(ContextCompacted), lab.compactions, strict=True):
        assert (event.turn, event.through, event.model) == (entry.turn, entry.through, "windowed/model")
        assert event.after < event.before
        assert event.usage == entry.usage
    assert lab.all(CompactionFailed) == []
    # What is sent stays a prefix of what is sent next but where something gave way.
    broken = sum(now[: len(before)] != before for before, now in itertools.pairwise(lab.model.sent))
    assert broken <= sum(isinstance(entry, Pruned | Compacted) for entry in lab.journal.entries)
    assert Session(lab.journal.entries).messages == agent.session.messages


async def test_each_request_for_notes_has_the_notes_before_and_only_what_is_new() -> None:
    lab = Lab()
    await lab.agent().run("do it")
    asked = [texts(request.messages) for request in lab.model.summaries]
    ends = [0, *(entry.through for entry in lab.compactions)]
    assert len(asked) >= 3
    for number, (text, first, last) in enumerate(zip(asked, ends, ends[1:], strict=False)):
        seen = {turn for turn in range(61) if f"I look at part {turn}," in text}
        assert seen <= set(range(first, last))
        assert last - 1 in seen
        assert text.count(f"- looked {number} times") == (number > 0)
    assert all(request.tools == () and len(request.messages) == 1 for request in lab.model.summaries)


async def test_what_people_said_stays_word_for_word_over_many_compactions() -> None:
    lab = Lab()
    lab.model.asks = {3: "which parser?", 30: "and which tests?"}
    agent = lab.agent()
    said = ["the task " * 60, "but not the tests, " * 50, "and keep the names, " * 50]
    agent.inbox.steer(said[1])
    agent.inbox.follow_up("one more thing " * 40)
    stop = iter([*range(20)])

    def steer(event: Event) -> None:
        lab.events.append(event)
        if isinstance(event, ContextCompacted) and next(stop) == 1:
            agent.inbox.steer(said[2])

    agent._publish = agent._context._publish = steer
    lab.model.keep = True
    await agent.run(said[0])
    assert len(lab.compactions) >= 4
    last = texts(lab.model.sent[-1])
    for words in (*said, "one more thing " * 40):
        assert words in last
    for question in lab.model.asks.values():
        assert f"the answer to {question}: " + "as the user said it; " * 40 in last
        assert question in last


class TestTheModelOfTheNotes:
    async def test_another_one_is_asked_within_its_window_and_at_its_price(self) -> None:
        lab = Lab(30)
        other = CannedModel(*(says("## Done\n- much", usage=Usage(700, 30, 0, 0.07)) for _ in range(20)))
        other.name = "cheap/writer"
        other.info = ModelInfo(9_000, 2_000, priced=True, usd_input=1e-7)
        agent = lab.agent(writer=other)
        await agent.run("do it")
        assert lab.model.summaries == []
        assert len(other.requests) == len(lab.compactions) > 1
        assert {entry.model for entry in lab.compactions} == {"cheap/writer"}
        assert {event.model for event in lab.all(ContextCompacted)} == {"cheap/writer"}
        assert all(request.max_output <= 2_000 and request.about_tokens < 7_000 for request in other.requests)
        assert agent.tally.spent_usd == pytest.approx(0.07 * len(lab.compactions))
        assert agent.tally.turns == 31

    async def test_else_the_task_s_own_is(self) -> None:
        lab = Lab(30)
        await lab.agent().run("do it")
        assert len(lab.model.summaries) == len(lab.compactions) > 1
        assert {entry.model for entry in lab.compactions} == {"windowed/model"}


class TestWhenNobodyWritesNotes:
    @pytest.mark.parametrize("window", [16_000, 48_000])
    async def test_the_run_says_so_pays_prunes_and_asks_nobody_again_for_five_turns(self, window: int) -> None:
        lab = Lab(60, window=window)
        lab.model.notes = [BLANK] * 99
        agent = lab.agent()
        assert await agent.run("do it") == "done"
        failed = lab.all(CompactionFailed)
        assert failed
        assert all("wrote no notes" in event.message for event in failed)
        due = {event.turn for event in lab.all(ContextCompacted)}
        assert all(b.turn - a.turn >= 5 for a, b in itertools.pairwise(failed) if b.turn not in due)
        assert len(lab.model.summaries) == len(failed)
        wasted = [entry.usage for entry in lab.journal.entries if isinstance(entry, Wasted)]
        assert wasted == [BLANK.usage] * len(failed)
        assert agent.tally.spent_usd == pytest.approx(0.01 * len(failed))
        assert len(lab.all(ContextPruned)) > 1

    async def test_old_turns_go_with_an_excerpt_once_nothing_would_fit_otherwise(self) -> None:
        lab = Lab(60, window=16_000)
        lab.model.notes = [ModelError("refused", "I do not write notes")] * 999
        assert await lab.agent().run("do it") == "done"
        assert lab.model.refused == 0
        assert len(lab.compactions) > 1
        assert all(event.after < event.before for event in lab.all(ContextCompacted))
        for entry in lab.compactions:
            assert (entry.model, entry.usage) == ("", Usage())
            assert "Not summarised" in entry.summary.text
            assert estimate_text(entry.summary.text) <= 2_000 + 50
        assert "I look at part" in lab.compactions[-1].summary.text

    async def test_an_excerpt_is_as_short_in_a_script_with_many_tokens(self) -> None:
        lab = Lab(40, window=16_000)
        lab.model.notes = [ModelError("refused", "no")] * 999
        agent = lab.agent()
        for number in range(4):
            agent.inbox.steer(f"{number}" + "修復解析器並且不要更改測試" * 60)
        assert await agent.run("do it") == "done"
        assert all(estimate_text(entry.summary.text) <= 2_000 + 50 for entry in lab.compactions)

    async def test_good_notes_stay_when_later_ones_fail(self) -> None:
        lab = Lab(60, window=16_000)
        good = "## Decisions (and why)\n- the parser stays recursive"
        lab.model.notes = [says(good), *[BLANK] * 999]
        await lab.agent().run("do it")
        assert [entry.model for entry in lab.compactions][:2] == ["windowed/model", ""]
        assert all(entry.summary.text.startswith(good) for entry in lab.compactions[:3])

    async def test_a_run_whose_provider_fails_for_notes_alone_takes_no_longer_than_that(self) -> None:
        clock, lab = FakeClock(), Lab(30)
        lab.model.notes = [ModelError("overloaded", "too busy", retry_after=5.0)] * 999
        assert await lab.agent(clock=clock).run("do it") == "done"
        failures = len(lab.all(CompactionFailed))
        assert failures > 1
        assert len(lab.model.summaries) == failures  # the retry policy of the lab has one attempt
        assert clock.waits == []


@pytest.mark.parametrize(
    "settings",
    [{"compaction": CompactionSettings(at=0)}, {"settings": ContextSettings(prune_at=0)}],
    ids=["compaction.at", "prune_at"],
)
async def test_who_wants_no_compaction_gets_none(settings: dict[str, Any]) -> None:
    lab = Lab(60, window=8_000, talk=2_500)
    with pytest.raises(ModelError) as caught:
        await lab.agent(**settings).run("do it")
    assert caught.value.kind == "context_overflow"
    assert (lab.model.summaries, lab.compactions) == ([], [])


async def test_an_overflow_right_after_a_compaction_is_tried_once_more() -> None:
    lab = Lab(40, window=16_000)
    agent = lab.agent()
    stream = lab.model.stream
    lab.model.stream = _refusing_after_first_compaction(lab, stream)  # type: ignore[method-assign]  # a provider that changes its mind
    assert await agent.run("do it") == "done"
    retried = lab.all(ModelRetried)
    assert [event.failure for event in retried] == ["context_overflow"]
    assert retried[0].turn == lab.compactions[0].turn + 1


async def test_what_fits_with_a_shorter_reply_alone_is_tried_with_one() -> None:
    lab = Lab(1)
    model = CannedModel(
        says("", ToolCall("c1", "look", '{"number": 1}'), usage=Usage(1_000, 30)),
        ModelError("context_overflow", "prompt and max_tokens together", window=20_000, prompt=13_000),
    )
    model.info = ModelInfo(20_000, 12_000)
    lab.model = model  # type: ignore[assignment]  # any model will do
    assert await lab.agent().run("do it") == "done"
    first, second = model.requests[1:]
    assert first.messages == second.messages
    assert 13_000 + second.max_output <= 20_000 < 13_000 + (first.max_output or 12_000)
    assert second.max_output > 4_000


def _refusing_after_first_compaction(lab: Lab, stream: Any) -> Any:
    refused: list[int] = []

    async def streaming(request: Any) -> Any:
        if request.tools and lab.compactions and not refused:
            refused.append(1)
            raise ModelError("context_overflow", "too long all the same")
        async for delta in stream(request):
            yield delta

    return streaming


class TestHooks:
    async def test_what_a_hook_takes_out_is_no_reason_to_compact(self) -> None:
        async def latest(messages: Sequence[Message]) -> Sequence[Message]:
            first = next(place for place, one in enumerate(messages[-4:], len(messages[-4:])) if place)
            tail = list(messages[-4:])
            while tail and isinstance(tail[0], ToolResult):
                tail.pop(0)
            return [messages[0], *(one for one in tail if one is not messages[0])] if first else messages

        lab = Lab(40, window=48_000, talk=3_000)
        assert await lab.agent(hooks=Hooks(transform_context=latest)).run("do it") == "done"
        assert (lab.compactions, lab.all(ContextPruned), lab.model.refused) == ([], [], 0)

    @pytest.mark.parametrize("factor", [1.0, 1.8])
    async def test_what_a_hook_adds_is_counted(self, factor: float) -> None:
        memory = user("what was learned on other days " * 1_200)

        async def longer(messages: Sequence[Message]) -> Sequence[Message]:
            return [memory, *messages]

        lab = Lab(40, window=int(30_000 * factor), factor=factor, talk=1_500)
        assert await lab.agent(hooks=Hooks(transform_context=longer)).run("do it") == "done"
        assert lab.model.refused == 0
        assert lab.compactions

    async def test_what_a_hook_sees_is_what_is_kept(self) -> None:
        seen: list[list[Message]] = []

        async def look(messages: Sequence[Message]) -> Sequence[Message]:
            seen.append(list(messages))
            return [one for one in messages if not isinstance(one, Thinking)]

        lab = Lab(30)
        agent = lab.agent(hooks=Hooks(transform_context=look))
        assert await agent.run("do it") == "done"
        assert lab.compactions
        assert any(isinstance(one, UserMessage) and one.origin == "summary" for one in seen[-1])
        assert seen[-1] == agent.session.messages[: len(seen[-1])]
