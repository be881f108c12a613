import asyncio
from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest

from kugetsu.agent import RetryPolicy
from kugetsu.errors import LimitReachedError, ModelError, RecordError
from kugetsu.events import ModelRetried, ReplyFinished, TurnFinished
from kugetsu.messages import (
    AssistantMessage,
    Delta,
    ReplyEnd,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolResult,
    Usage,
    UserMessage,
)
from kugetsu.sessions import Entry, Replied, Session
from kugetsu.tasks import Limits
from kugetsu.testing import MemoryJournal, says
from support.agent_bench import Bench, call, hanging


async def test_it_ends_with_a_reply_that_calls_nothing(bench: Bench) -> None:
    agent = bench.agent(says("looking", call("look", text="a")), says("all done"))
    assert await agent.run("do it") == "all done"
    assert [type(message) for message in agent.session.messages] == [
        UserMessage,
        AssistantMessage,
        ToolResult,
        AssistantMessage,
    ]
    assert bench.journal.messages == agent.session.messages
    assert (agent.tally.turns, agent.tally.tool_calls) == (2, 1)


async def test_the_model_sees_the_whole_conversation_and_all_tools(bench: Bench) -> None:
    agent = bench.agent(says("", call("look", text="a")), says("done"))
    await agent.run("do it")
    first, second = bench.model.requests
    assert first.system == "be good"
    assert {spec.name for spec in first.tools} >= {"look", "change"}
    assert second.messages[-1] == ToolResult("c1", "look", (Text("echo a"),))


async def test_usage_is_summed_and_an_unknown_price_makes_the_sum_unknown(bench: Bench) -> None:
    agent = bench.agent(
        says("", call("look", text="a"), usage=Usage(10, 2, 5, 0.25)), says("x", usage=Usage(20, 3, 10, None))
    )
    await agent.run("do it")
    assert agent.tally.usage == Usage(30, 5, 15, None)


async def test_steering_comes_before_the_next_reply_and_one_message_a_turn(bench: Bench) -> None:
    agent = bench.agent(says("", call("look", text="a")), says("b"), says("c"))
    agent.inbox.steer("first")
    agent.inbox.steer("second")
    assert await agent.run("do it") == "b"
    said = [message for message in agent.session.messages if isinstance(message, UserMessage)]
    assert [message.origin for message in said] == ["prompt", "steering", "steering"]
    assert [isinstance(agent.session.messages[place], UserMessage) for place in (1, 4)] == [True, True]


async def test_a_follow_up_waits_until_the_agent_would_stop(bench: Bench) -> None:
    agent = bench.agent(says("", call("look", text="a")), says("first answer"), says("second answer"))
    agent.inbox.follow_up("one more thing")
    assert await agent.run("do it") == "second answer"
    assert agent.session.messages[-2] == UserMessage((Text("one more thing"),), "follow_up")


async def test_calls_of_a_reply_cut_by_length_are_refused_and_not_executed(bench: Bench) -> None:
    cut = msgspec.structs.replace(says("", call("look", text="a"), call("look", "c2", text="b")), stop="length")
    agent = bench.agent(cut, says("done"))
    await agent.run("do it")
    assert bench.spans == []
    assert [(result.call_id, result.is_error) for result in bench.results] == [("c1", True), ("c2", True)]
    assert "cut at the output limit" in bench.results[0].text


async def test_ids_that_a_provider_repeats_are_made_unique(bench: Bench) -> None:
    agent = bench.agent(says("", call("look", text="a"), call("look", text="b")), says("", call("look", text="c")))
    await agent.run("do it")
    ids = [
        block.id
        for message in agent.session.messages
        if isinstance(message, AssistantMessage)
        for block in message.calls
    ]
    assert len(set(ids)) == 3
    assert [result.call_id for result in bench.results] == ids


async def test_a_passing_failure_is_tried_again_and_leaves_no_trace_in_the_conversation(bench: Bench) -> None:
    agent = bench.agent(ModelError("overloaded", "busy"), ModelError("network", "gone"), says("done"))
    assert await agent.run("do it") == "done"
    assert [event.failure for event in bench.events if isinstance(event, ModelRetried)] == ["overloaded", "network"]
    assert len(agent.session.messages) == 2
    assert agent.tally.turns == 1


@pytest.mark.parametrize("kind", ["authentication", "bad_request", "not_found", "quota", "context_overflow", "refused"])
async def test_a_lasting_failure_ends_the_run_at_once(bench: Bench, kind: str) -> None:
    agent = bench.agent(ModelError(kind, "no"), says("never"))  # type: ignore[arg-type]  # parametrised literal
    with pytest.raises(ModelError, match="no"):
        await agent.run("do it")
    assert len(bench.model.requests) == 1


async def test_retries_are_bounded(bench: Bench) -> None:
    agent = bench.agent(*[ModelError("stall", "no bytes")] * 9, retry=RetryPolicy(attempts=3, base_seconds=0.001))
    with pytest.raises(ModelError, match="no bytes"):
        await agent.run("do it")
    assert len(bench.model.requests) == 3


async def test_the_turn_limit_stops_before_one_more_call(bench: Bench) -> None:
    agent = bench.agent(*[says("", call("look", text="a"))] * 5, limits=Limits(turns=2))
    with pytest.raises(LimitReachedError, match=r"limits\.turns = 2") as caught:
        await agent.run("do it")
    assert caught.value.kind == "turn_limit"
    assert len(bench.model.requests) == 2


@pytest.mark.parametrize(
    ("limits", "kind"), [(Limits(tokens=12), "token_limit"), (Limits(usd=0.5), "money_limit")], ids=["tokens", "money"]
)
async def test_tokens_and_money_are_bounded(bench: Bench, limits: Limits, kind: str) -> None:
    reply = says("", call("look", text="a"), usage=Usage(10, 2, 0, 0.5))
    agent = bench.agent(reply, reply, limits=limits)
    with pytest.raises(LimitReachedError) as caught:
        await agent.run("do it")
    assert caught.value.kind == kind
    assert len(bench.model.requests) == 1


async def test_no_limit_is_hit_when_all_are_zero(bench: Bench) -> None:
    reply = says("", call("look", text="a"), usage=Usage(10, 2, 0, 0.5))
    agent = bench.agent(*[reply] * 3, limits=Limits(0, 0, 0, 0, 0))
    assert await agent.run("do it") == "done"


async def test_an_abort_in_mid_reply_keeps_the_partial_text(bench: Bench) -> None:
    agent = bench.agent(lambda _request: hanging("half a sen"))
    running = asyncio.create_task(agent.run("do it"))
    while not bench.model.requests:
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await agent.close_turn()
    last = bench.journal.messages[-1]
    assert isinstance(last, AssistantMessage)
    assert (last.text, last.stop) == ("half a sen", "aborted")


async def test_an_abort_while_waiting_for_a_retry_is_prompt(bench: Bench) -> None:
    agent = bench.agent(*[ModelError("rate_limited", "slow", retry_after=60.0)] * 3)
    running = asyncio.create_task(agent.run("do it"))
    while not any(isinstance(event, ModelRetried) for event in bench.events):
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert len(agent.session.messages) == 1


async def test_an_abort_in_mid_batch_answers_every_call(bench: Bench) -> None:
    calls = [call("look", "c1", text="a"), call("hang", "c2", text="b"), call("change", "c3", text="c")]
    agent = bench.agent(says("working", *calls))
    running = asyncio.create_task(agent.run("do it"))
    while ("start", "hang") not in bench.spans or ("end", "a") not in bench.spans:
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await agent.close_turn()
    assert [(result.call_id, result.is_error) for result in bench.results] == [
        ("c1", False),
        ("c2", True),
        ("c3", True),
    ]
    assert "Aborted" in bench.results[1].text
    assert "Not executed" in bench.results[2].text
    assert agent.tally.tool_calls == 3


async def test_every_abort_point_leaves_every_call_with_one_result(bench: Bench) -> None:
    calls = [ToolCall(f"c{n}", name, '{"text": "x", "seconds": 0.001}') for n, name in enumerate(("look", "change"))]
    for steps in range(60):
        agent = bench.agent(says("", *calls), says("", *calls), says("end"))
        running = asyncio.create_task(agent.run("do it"))
        for _ in range(steps):
            await asyncio.sleep(0.0002)
        running.cancel()
        await asyncio.wait({running})
        await agent.close_turn()
        asked = [block.id for m in agent.session.messages if isinstance(m, AssistantMessage) for block in m.calls]
        answered = [m.call_id for m in agent.session.messages if isinstance(m, ToolResult)]
        assert asked == answered


async def test_events_tell_the_story_of_a_turn(bench: Bench) -> None:
    agent = bench.agent(says("hm", call("look", text="a"), usage=Usage(7, 3)), says("done"))
    await agent.run("do it")
    names = [type(event).__name__ for event in bench.events]
    assert names == [
        "MessageDelivered",
        "TurnStarted",
        "ReplyDelta",
        "ReplyFinished",
        "ToolStarted",
        "ToolFinished",
        "TurnFinished",
        "TurnStarted",
        "ReplyDelta",
        "ReplyFinished",
        "TurnFinished",
    ]
    finished = next(event for event in bench.events if isinstance(event, ReplyFinished))
    assert (finished.text, finished.calls, finished.usage) == ("hm", ("look",), Usage(7, 3))
    assert next(event for event in bench.events if isinstance(event, TurnFinished)).usage.tokens == 10


async def test_a_reply_without_an_end_is_a_malformed_stream(bench: Bench) -> None:
    agent = bench.agent(retry=RetryPolicy(attempts=1))

    async def cut(_request: object):  # type: ignore[no-untyped-def]  # noqa: ANN202 - an empty stream
        return
        yield

    agent = bench.agent(cut, retry=RetryPolicy(attempts=1))
    with pytest.raises(ModelError) as caught:
        await agent.run("do it")
    assert caught.value.kind == "malformed"


async def test_a_reply_that_became_whole_when_it_was_cancelled_counts_and_its_calls_are_answered(bench: Bench) -> None:
    async def drains(_request: object) -> AsyncIterator[Delta]:
        yield TextDelta("hi")
        yield ToolCallDelta(0, "c1", "look", '{"text": "a"}')
        yield ReplyEnd("tool_calls", Usage(10, 5))
        await asyncio.Event().wait()

    agent = bench.agent(drains)
    running = asyncio.create_task(agent.run("do it"))
    await asyncio.sleep(0.05)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert isinstance(bench.journal.entries[-1], Replied)
    await agent.close_turn()
    assert [result.call_id for result in bench.results] == ["c1"]
    assert bench.spans == []
    assert (agent.tally.usage.tokens, agent.tally.turns) == (15, 1)


class SlowJournal(MemoryJournal):
    async def append(self, *entries: Entry, taken: Sequence[int] = ()) -> None:
        await asyncio.sleep(0.002)
        await super().append(*entries, taken=taken)


async def test_journal_and_conversation_agree_wherever_a_slow_write_is_cancelled(bench: Bench) -> None:
    for steps in range(40):
        bench.journal = SlowJournal()
        agent = bench.agent(*[says("", call("look", text="x"), call("change", "c2", text="y"))] * 2)
        running = asyncio.create_task(agent.run("do it"))
        await asyncio.sleep(steps * 0.0005)
        running.cancel()
        await asyncio.wait({running})
        assert agent.session.messages == Session(bench.journal.entries).messages
        await agent.close_turn()
        assert agent.session.messages == bench.journal.messages
        asked = [block.id for m in agent.session.messages if isinstance(m, AssistantMessage) for block in m.calls]
        assert asked == [m.call_id for m in agent.session.messages if isinstance(m, ToolResult)]


async def test_a_journal_that_cannot_be_written_stops_the_run_before_anything_depends_on_it(bench: Bench) -> None:
    class Full(MemoryJournal):
        async def append(self, *entries: Entry, taken: Sequence[int] = ()) -> None:
            if isinstance(entries[0], Replied):
                raise RecordError("disk full")
            await super().append(*entries, taken=taken)

    bench.journal = Full()
    agent = bench.agent(says("", call("look", text="a")))
    with pytest.raises(RecordError):
        await agent.run("do it")
    assert agent.session.messages == bench.journal.messages
    assert bench.spans == []


async def test_words_that_are_cut_by_the_output_limit_are_asked_on_and_bounded(bench: Bench) -> None:
    cut = msgspec.structs.replace(says("half a sen"), stop="length")
    agent = bench.agent(cut, says("tence"))
    assert await agent.run("do it") == "tence"
    assert [m.origin for m in agent.session.messages if isinstance(m, UserMessage)] == ["prompt", "notice"]
    bench.journal = MemoryJournal()
    with pytest.raises(ModelError, match="4 times in a row"):
        await bench.agent(*[cut] * 9).run("do it")


async def test_a_price_that_becomes_unknown_does_not_lift_the_money_limit(bench: Bench) -> None:
    replies = [says("", call("look", text="a"), usage=Usage(1, 1, 0, cost)) for cost in (0.3, None, 0.3)]
    agent = bench.agent(*replies, limits=Limits(usd=0.5))
    with pytest.raises(LimitReachedError) as caught:
        await agent.run("do it")
    assert caught.value.kind == "money_limit"
    assert agent.tally.usage.cost_usd is None


async def test_a_wait_that_is_too_long_is_named(bench: Bench) -> None:
    agent = bench.agent(ModelError("rate_limited", "slow down", retry_after=9999.0))
    with pytest.raises(ModelError, match="asked to wait 9999 s"):
        await agent.run("do it")
