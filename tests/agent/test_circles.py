from pathlib import Path

import pytest

from kugetsu.agent.circles import check_circling
from kugetsu.config import LoopSettings
from kugetsu.errors import LimitReachedError
from kugetsu.messages import Text, ToolCall, ToolResult, UserMessage
from kugetsu.sessions import Checkpoint, Circling, Forked, Renewed, Session
from kugetsu.testing import CannedReply, says
from support.agent_bench import Bench, call


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def looks(number: int, text: str = "a") -> CannedReply:
    return says("", call("look", f"c{number}", text=text))


def told(bench: Bench) -> list[str]:
    notices = [m for m in bench.journal.messages if isinstance(m, UserMessage) and m.origin == "notice"]
    return ["same call" if "same look call" in str(m.content) else "no change" for m in notices]


async def test_an_agent_that_repeats_a_call_is_told_once_and_then_its_run_ends(bench: Bench) -> None:
    agent = bench.agent(*[looks(n) for n in range(20)])
    with pytest.raises(LimitReachedError, match="same look call gave the same result 10 times") as caught:
        await agent.run("do it")
    assert caught.value.kind == "loop"
    assert told(bench) == ["same call"]
    assert agent.tally.turns == 10


async def test_an_agent_that_heeds_the_word_goes_on(bench: Bench) -> None:
    agent = bench.agent(*[looks(n) for n in range(5)], looks(6, "b"), says("done"))
    assert await agent.run("do it") == "done"
    assert told(bench) == ["same call"]


async def test_a_call_whose_files_changed_meanwhile_is_no_repetition(bench: Bench) -> None:
    replies = []
    for number in range(12):
        replies += [looks(number), says("", call("change", f"w{number}", text="x"))]
    agent = bench.agent(*replies, says("done"))
    assert await agent.run("do it") == "done"
    assert told(bench) == []


async def test_calls_with_other_results_are_no_repetition(bench: Bench) -> None:
    agent = bench.agent(*[looks(n, f"{n}") for n in range(30)], says("done"))
    assert await agent.run("do it") == "done"
    assert told(bench) == []


async def test_an_agent_that_changes_nothing_for_long_is_told_again_and_again_and_goes_on(bench: Bench) -> None:
    agent = bench.agent(*[looks(n, f"{n}") for n in range(120)], says("done"))
    assert await agent.run("do it") == "done"
    assert told(bench) == ["no change", "no change"]


async def test_a_run_that_goes_on_after_the_end_of_a_loop_gets_one_more_turn(bench: Bench) -> None:
    with pytest.raises(LimitReachedError):
        await bench.agent(*[looks(n) for n in range(20)]).run("do it")
    assert await bench.agent(looks(30, "another"), says("done")).run("do it") == "done"
    with_loop = Bench(bench.root)
    with pytest.raises(LimitReachedError):
        await with_loop.agent(*[looks(n) for n in range(20)]).run("do it")
    with pytest.raises(LimitReachedError, match="11 times"):
        await with_loop.agent(*[looks(n) for n in range(30, 40)]).run("do it")


def command(text: str = "same") -> tuple[ToolCall, ToolResult]:
    return ToolCall("1", "bash", "{}"), ToolResult("1", "bash", (Text(text),))


def test_equal_calls_count_once_in_a_turn_until_a_file_changes() -> None:
    circling = Circling()
    for _ in range(4):
        circling.close([command()], changed=False)
    circling.close([command()] * 9, changed=False)
    assert (circling.most, circling.turns) == (5, 5)
    circling.close([command()], changed=True)
    assert (circling.most, circling.turns) == (1, 0)


def test_a_look_between_other_calls_is_no_repetition_and_going_to_and_fro_is_one() -> None:
    circling = Circling()
    for number in range(30):
        circling.close([command()], changed=False)
        circling.close([command(f"{number}")], changed=False)
    assert circling.most == 1
    for _ in range(4):
        for text in ("a", "b"):
            circling.close([command(text)], changed=False)
    assert circling.most == 4


def test_a_fork_and_a_retry_count_from_the_beginning() -> None:
    for entry in (Forked("other"), Renewed()):
        session = Session()
        session.circling.most = 10
        session.apply(entry)
        assert session.circling == Circling()


def test_zero_switches_each_rule_off() -> None:
    circling = Circling(turns=100, most=100, name="bash")
    assert check_circling(circling, LoopSettings(same_calls=0, turns_without_change=0)) is None


async def test_an_agent_whose_run_died_in_the_turn_that_closes_a_circle_is_told_by_the_next(bench: Bench) -> None:
    async def unchanged(_turn: int) -> str:
        return ""

    await bench.agent(*[looks(n) for n in range(5)], says("done")).run("do it")
    closed = [place for place, entry in enumerate(bench.journal.entries) if isinstance(entry, Checkpoint)]
    del bench.journal.entries[closed[4] :]
    assert told(bench) == []
    assert await bench.agent(says("done"), snapshot=unchanged).run("do it") == "done"
    assert told(bench) == ["same call"]
