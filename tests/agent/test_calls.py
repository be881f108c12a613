import asyncio
from itertools import pairwise

import msgspec
import pytest

from kugetsu.agent import Hooks, Refusal
from kugetsu.events import Noted, ToolStarted
from kugetsu.messages import ToolCall
from kugetsu.protocols import ToolContext, ToolOutput
from kugetsu.testing import FunctionTool, says
from support.agent_bench import Bench, call


async def run(bench: Bench, *calls: ToolCall, hooks: Hooks | None = None, call_seconds: float = 30.0) -> None:
    await bench.agent(says("", *calls), hooks=hooks, call_seconds=call_seconds).run("do it")


async def test_neighbours_of_one_kind_run_in_parallel_and_answer_in_source_order(bench: Bench) -> None:
    await run(bench, call("command", "c1", text="slow", seconds=0.05), call("command", "c2", text="fast"))
    assert [name for kind, name in bench.spans if kind == "end"] == ["fast", "slow"]
    assert [result.text for result in bench.results] == ["echo slow", "echo fast"]


async def test_calls_of_different_kinds_run_in_source_order(bench: Bench) -> None:
    names = [("change", "1"), ("command", "2"), ("look", "3"), ("change", "4")]
    await run(bench, *(call(name, f"c{text}", text=text, seconds=0.005) for name, text in names))
    assert bench.spans == [(kind, text) for _, text in names for kind in ("start", "end")]


async def test_a_sequential_tool_runs_alone(bench: Bench) -> None:
    await run(bench, *(call("alone", f"c{n}", text=str(n), seconds=0.005) for n in range(3)))
    assert all(a[0] != b[0] for a, b in pairwise(bench.spans))


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (ToolCall("c1", "fly", "{}"), "There is no tool 'fly'. The tools are: look, change"),
        (ToolCall("c1", "look", "{not json"), "no valid JSON"),
        (ToolCall("c1", "look", '{"text": "\\ud800"}'), "no valid JSON"),
        (ToolCall("c1", "look", "[]"), "do not fit"),
        (ToolCall("c1", "look", "{}"), "missing required field `text`"),
        (ToolCall("c1", "look", '{"text": "a", "extra": 1}'), "unknown field `extra`"),
        (ToolCall("c1", "fail", '{"text": "swim"}'), "cannot swim"),
        (ToolCall("c1", "crash", '{"text": "boom"}'), "Internal error in the tool crash: RuntimeError: boom"),
        (ToolCall("c1", "", ""), "There is no tool ''"),
    ],
    ids=["unknown", "no json", "surrogate", "no object", "missing", "extra", "refusal", "defect", "empty"],
)
async def test_whatever_goes_wrong_the_call_gets_one_result_and_the_run_goes_on(
    bench: Bench, bad: ToolCall, words: str
) -> None:
    await run(bench, bad, call("look", "c2", text="b"))
    assert [result.call_id for result in bench.results] == ["c1", "c2"]
    assert words in bench.results[0].text
    assert bench.results[1].text == "echo b"


async def test_a_schema_message_shows_the_schema(bench: Bench) -> None:
    await run(bench, ToolCall("c1", "look", '{"text": 5, "seconds": "x"}'))
    assert '"seconds":{"type":"number"' in bench.results[0].text


async def test_numbers_written_as_text_are_accepted(bench: Bench) -> None:
    await run(bench, ToolCall("c1", "look", '{"text": "a", "seconds": "0.001"}'))
    assert bench.results[0].text == "echo a"


async def test_a_call_that_takes_too_long_is_ended(bench: Bench) -> None:
    await run(bench, call("hang", text="a"), call_seconds=0.05)
    assert bench.results[0].is_error
    assert "longer than 0.05 seconds" in bench.results[0].text


async def test_a_hook_may_refuse_a_call(bench: Bench) -> None:
    async def refuse(asked: ToolCall) -> Refusal | None:
        return Refusal("not on Sundays") if asked.name == "look" else None

    await run(bench, call("look", text="a"), call("change", "c2", text="b"), hooks=Hooks(before_tool_call=refuse))
    assert bench.results[0].is_error
    assert "not on Sundays" in bench.results[0].text
    assert bench.spans == [("start", "b"), ("end", "b")]


async def test_a_hook_may_change_arguments_but_not_the_id(bench: Bench) -> None:
    async def change(_asked: ToolCall) -> ToolCall:
        return ToolCall("other", "look", '{"text": "changed"}')

    await run(bench, call("look", text="a"), hooks=Hooks(before_tool_call=change))
    assert (bench.results[0].call_id, bench.results[0].text) == ("c1", "echo changed")
    started = next(event for event in bench.events if isinstance(event, ToolStarted))
    assert started.arguments == '{"text": "changed"}'


async def test_a_hook_may_change_the_output(bench: Bench) -> None:
    async def change(_asked: ToolCall, output: ToolOutput) -> ToolOutput:
        return ToolOutput.of(output.content[0].text.upper())  # type: ignore[union-attr]  # text it is

    await run(bench, call("look", text="a"), hooks=Hooks(after_tool_call=change))
    assert bench.results[0].text == "ECHO A"


async def test_a_broken_hook_before_a_call_refuses_it(bench: Bench) -> None:
    async def broken(_asked: ToolCall) -> None:
        raise ValueError("hook bug")

    await run(bench, call("change", text="a"), hooks=Hooks(before_tool_call=broken))
    assert bench.results[0].is_error
    assert bench.spans == []
    assert any("hook bug" in event.message for event in bench.events if isinstance(event, Noted))


async def test_a_broken_hook_after_a_call_is_told_and_breaks_nothing(bench: Bench) -> None:
    async def broken(_asked: ToolCall, _output: ToolOutput) -> None:
        raise ValueError("hook bug")

    await run(bench, call("look", text="a"), hooks=Hooks(after_tool_call=broken))
    assert bench.results[0].is_error
    assert any("hook bug" in event.message for event in bench.events if isinstance(event, Noted))


async def test_transform_context_changes_what_is_sent_and_not_what_is_kept(bench: Bench) -> None:
    async def last_only(messages):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - brevity
        return messages[:1]

    agent = bench.agent(says("", call("look", text="a")), says("done"), hooks=Hooks(transform_context=last_only))
    await agent.run("do it")
    assert [len(request.messages) for request in bench.model.requests] == [1, 1]
    assert len(agent.session.messages) == 4


async def test_many_calls_at_once_all_answer(bench: Bench) -> None:
    async with asyncio.timeout(10):
        await run(bench, *(call("look", f"c{n}", text=str(n), seconds=0.01) for n in range(100)))
    assert [result.text for result in bench.results] == [f"echo {n}" for n in range(100)]


async def test_a_timeout_of_the_tools_own_is_told_as_its_own(bench: Bench) -> None:
    async def late(_arguments: object, _context: ToolContext) -> ToolOutput:
        raise TimeoutError("the database did not answer")

    bench.more = [FunctionTool("late", msgspec.defstruct("Late", []), late)]
    await run(bench, call("late"))
    assert "the database did not answer" in bench.results[0].text


async def test_a_cancel_out_of_a_future_of_the_tools_own_is_a_defect_and_no_cancel(bench: Bench) -> None:
    async def lost(_arguments: object, _context: ToolContext) -> ToolOutput:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future
        raise AssertionError

    async def broken(_asked: ToolCall) -> None:
        await lost(None, bench)  # type: ignore[arg-type]  # not looked at

    bench.more = [FunctionTool("lost", msgspec.defstruct("Lost", []), lost)]
    await run(bench, call("lost"), call("look", "c2", text="a"))
    assert [result.is_error for result in bench.results] == [True, False]
    bench.journal.entries.clear()
    await run(bench, call("look", text="a"), hooks=Hooks(before_tool_call=broken))
    assert bench.results[0].is_error


async def test_a_hook_cannot_exchange_the_tool(bench: Bench) -> None:
    async def exchange(_asked: ToolCall) -> ToolCall:
        return ToolCall("x", "change", '{"text": "b"}')

    await run(bench, call("look", text="a"), hooks=Hooks(before_tool_call=exchange))
    assert bench.results[0].name == "look"
    assert [event.name for event in bench.events if isinstance(event, ToolStarted)] == ["look"]
