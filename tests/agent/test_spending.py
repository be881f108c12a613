import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kugetsu.agent import Agent, Hooks, RetryPolicy, Toolbox
from kugetsu.agent.limits import CallCost, longest_reply
from kugetsu.errors import LimitReachedError, ModelError, PausedError
from kugetsu.messages import (
    AssistantMessage,
    Delta,
    Image,
    Message,
    Text,
    TextDelta,
    ToolCallDelta,
    ToolResult,
    Usage,
    most_tokens_of_prompt,
    user,
)
from kugetsu.protocols import FileLocks, ModelInfo, ModelRequest, Reserved, ToolContext
from kugetsu.sessions import Tally
from kugetsu.tasks import Limits, Spent
from kugetsu.testing import CannedModel, MemoryJournal, says
from support.agent_bench import Bench, call

DEAR = ModelInfo(context_window=200_000, max_output=10_000, priced=True, usd_input=1e-5, usd_output=1e-4)


class DearModel(CannedModel):
    info = DEAR


def agent_of(root: Path, model: CannedModel, limits: Limits, **more: object) -> Agent:
    context = ToolContext(root=root, scratch=root, environment={}, locks=FileLocks())
    journal = MemoryJournal()
    return Agent(
        model,
        Toolbox(Bench(root).tools()),
        context,
        system="be good",
        journal=journal,
        publish=lambda _event: None,
        limits=limits,
        **more,  # type: ignore[arg-type]  # as the test says
    )


async def test_a_call_that_could_pass_the_limit_of_money_may_only_give_a_shorter_reply(tmp_path: Path) -> None:
    model = DearModel(says("", call("look", text="a"), usage=Usage(1000, 3000, 0, 0.31)))
    await agent_of(tmp_path, model, Limits(usd=1.0)).run("do it")
    first, second = model.requests
    assert 5_000 < first.max_output < 10_000
    assert 4_000 < second.max_output < first.max_output - 3_000
    assert second.max_output * 1e-4 + second.input_tokens * 1e-5 + 0.31 <= 1.0


async def test_a_run_ends_before_a_call_for_which_too_little_money_is_left(tmp_path: Path) -> None:
    model = DearModel(says("", call("look", text="a"), usage=Usage(1000, 9000, 0, 0.91)))
    with pytest.raises(LimitReachedError, match=r"spent \$0\.9100, and the next call may cost") as caught:
        await agent_of(tmp_path, model, Limits(usd=1.0)).run("do it")
    assert caught.value.kind == "money_limit"
    assert len(model.requests) == 1


async def test_a_model_without_a_price_is_asked_for_all_it_gives(tmp_path: Path) -> None:
    model = CannedModel()
    await agent_of(tmp_path, model, Limits(usd=0.01)).run("do it")
    assert model.requests[0].max_output == 0


async def test_what_is_granted_bounds_the_reply(tmp_path: Path) -> None:
    asked: list[tuple[Spent, Spent]] = []

    async def reserve(least: Spent, most: Spent) -> Reserved:
        asked.append((least, most))
        return Reserved(msgspec.structs.replace(most, usd=least.usd + 0.1))

    model = DearModel()
    await agent_of(tmp_path, model, Limits(usd=0), reserve=reserve).run("do it")
    ((least, most),) = asked
    assert (least.turns, most.turns) == (1, 1)
    assert most.usd - least.usd == pytest.approx((10_000 - 1_024) * 1e-4)
    assert model.requests[0].max_output == pytest.approx(1_024 + 1_000, abs=1)


async def test_whoever_waits_for_a_grant_can_be_cancelled(tmp_path: Path) -> None:
    async def never(_least: Spent, _most: Spent) -> Reserved:
        await asyncio.Event().wait()
        raise AssertionError

    model = DearModel()
    running = asyncio.create_task(agent_of(tmp_path, model, Limits(), reserve=never).run("do it"))
    await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert model.requests == []


@given(
    limit=st.floats(0.001, 100),
    spent=st.floats(0, 100),
    prompt=st.integers(0, 200_000),
    rates=st.tuples(st.floats(0, 1e-3), st.floats(0, 1e-3)),
    most=st.integers(1, 128_000),
)
def test_no_reply_that_is_allowed_can_pass_the_limit(
    limit: float, spent: float, prompt: int, rates: tuple[float, float], most: int
) -> None:
    cost = CallCost(prompt, ModelInfo(200_000, most, priced=True, usd_input=rates[0], usd_output=rates[1]))
    try:
        output = longest_reply(Limits(usd=limit), Tally(spent_usd=spent), cost)
    except LimitReachedError:
        assert spent + cost.of(cost.least_output).usd > limit - 2e-3
        return
    assert 0 <= output <= most
    assert spent + cost.of(output or most).usd <= limit + 1e-6


def test_the_size_of_a_prompt_is_never_less_than_its_bytes_and_trusts_what_was_counted() -> None:
    words = user("ünï" * 100)
    assert most_tokens_of_prompt(50, [words]) >= 50 + 500
    counted = AssistantMessage((Text("ok"),), "end", Usage(120, 30))
    result = ToolResult("c", "look", (Text("x" * 400),))
    assert 150 + 400 <= most_tokens_of_prompt(50, [words, counted, result]) < 150 + 400 + 100
    silent = AssistantMessage((Text("ok"),), "end", Usage())
    assert most_tokens_of_prompt(50, [words, silent]) > 550
    assert most_tokens_of_prompt(0, [ToolResult("c", "read", (Image("image/png", "A" * 10**6),))]) < 10_000


@pytest.mark.parametrize("prompt", range(1_000, 60_000, 997))
def test_a_call_for_which_all_was_set_aside_may_give_all(prompt: int) -> None:
    cost = CallCost(prompt, ModelInfo(200_000, 32_000, priced=True, usd_input=3e-6, usd_output=1.5e-5, usd_call=0.01))
    assert cost.output_for(cost.of(32_000)) == 32_000
    assert cost.of(0).usd == pytest.approx(0.01 + prompt * 3e-6)


def test_a_reply_of_which_nobody_says_how_long_it_may_be_is_capped_once_money_could_run_out() -> None:
    cost = CallCost(0, ModelInfo(200_000, 16_000, priced=True, usd_output=1e-5, longest_reply=200_000))
    assert longest_reply(Limits(usd=10), Tally(), cost) == 0
    assert longest_reply(Limits(usd=10), Tally(spent_usd=8.5), cost) == 16_000
    assert longest_reply(Limits(usd=10), Tally(spent_usd=9.9), cost) == 10_000


@pytest.mark.parametrize(
    "begun", [TextDelta("x" * 2_000), ToolCallDelta(0, "c1", "look", '{"text":"' + "x" * 2_000)], ids=["words", "call"]
)
async def test_a_reply_that_breaks_off_is_paid_too(tmp_path: Path, begun: Delta) -> None:
    async def broken(_request: ModelRequest) -> AsyncIterator[Delta]:
        yield begun
        raise ModelError("network", "gone")

    model = DearModel(broken, says("done", usage=Usage(100, 10, 0, 0.002)))
    asked: list[Spent] = []

    async def reserve(_least: Spent, most: Spent) -> Reserved:
        asked.append(most)
        return Reserved(most)

    agent = agent_of(tmp_path, model, Limits(), reserve=reserve, retry=RetryPolicy(base_seconds=0.001))
    await agent.run("do it")
    assert len(asked) == 2
    assert agent.tally.turns == 1
    assert 0.2 < agent.tally.spent_usd < 0.5


async def test_a_pause_is_heard_while_a_run_waits_for_what_others_have_set_aside(tmp_path: Path) -> None:
    async def busy(_least: Spent, _most: Spent) -> Reserved:
        agent.pausing = True
        return Reserved()

    model = DearModel()
    agent = agent_of(tmp_path, model, Limits(), reserve=busy)
    with pytest.raises(PausedError):
        await agent.run("do it")
    assert model.requests == []


async def test_counts_of_earlier_runs_and_behind_hooks_prove_nothing(tmp_path: Path) -> None:
    async def longer(messages: Sequence[Message]) -> Sequence[Message]:
        return [user("x" * 200_000), *messages]

    model = DearModel(says("", call("look", text="a"), usage=Usage(50, 10, 0, 0.0)))
    await agent_of(tmp_path, model, Limits(), hooks=Hooks(transform_context=longer)).run("do it")
    assert min(request.input_tokens for request in model.requests) > 200_000
    words: list[Message] = [user("y" * 5_000), AssistantMessage((Text("ok"),), "end", Usage(10, 3)), user("go on")]
    assert most_tokens_of_prompt(10, words) < 200
    assert most_tokens_of_prompt(10, words, same_from=2) > 5_000
