"""What notes may use up, and that no run ends because of them."""

import msgspec
import pytest

from agent.compaction_lab import Lab, writes_much
from agent.context_lab import UNLIMITED
from kugetsu.errors import LimitReachedError
from kugetsu.events import CompactionFailed, ContextCompacted, ReplyFinished, TurnFinished
from kugetsu.protocols import ModelInfo, ModelRequest, Reserved
from kugetsu.tasks import Spent
from kugetsu.testing import CannedModel


def dear(turns: int = 40) -> Lab:
    lab = Lab(turns, window=16_000)
    lab.model.info = msgspec.structs.replace(lab.model.info, usd_input=1e-6, usd_output=1e-5)
    return lab


@pytest.mark.parametrize("usd", [0.16 + 0.013 * step for step in range(14)])
async def test_no_run_ends_by_money_that_its_notes_took_just_before(usd: float) -> None:
    lab = dear()
    agent = lab.agent(limits=msgspec.structs.replace(UNLIMITED, usd=usd))
    with pytest.raises(LimitReachedError, match=r"limits\.usd"):
        await agent.run("do it")
    assert agent.tally.spent_usd <= usd
    last = max((place for place, e in enumerate(lab.events) if isinstance(e, ContextCompacted)), default=-1)
    assert last == -1 or any(isinstance(event, ReplyFinished) for event in lab.events[last:])


@pytest.mark.parametrize("tokens", range(120_000, 200_000, 7_000))
async def test_no_run_ends_by_tokens_that_its_notes_took_just_before(tokens: int) -> None:
    lab = Lab(40)
    agent = lab.agent(limits=msgspec.structs.replace(UNLIMITED, tokens=tokens))
    with pytest.raises(LimitReachedError, match=r"limits\.tokens"):
        await agent.run("do it")
    assert isinstance(lab.events[-1], TurnFinished)
    for place, event in enumerate(lab.events):
        if isinstance(event, ContextCompacted):
            assert any(isinstance(later, ReplyFinished) for later in lab.events[place:])


async def test_notes_are_no_turns() -> None:
    lab = Lab(40)
    agent = lab.agent(limits=msgspec.structs.replace(UNLIMITED, turns=41))
    assert await agent.run("do it") == "done"
    assert len(lab.compactions) > 2
    assert agent.tally.turns == 41


@pytest.mark.parametrize("answer", ["nothing", "never"])
async def test_a_day_s_budget_without_room_for_notes_does_not_end_the_run(answer: str) -> None:
    lab = dear()

    async def reserve(least: Spent, most: Spent) -> Reserved:
        if most.tokens - least.tokens > 500:
            return Reserved(most)
        if answer == "never":
            raise LimitReachedError("budget", "no room today")
        return Reserved()

    other = CannedModel()
    other.info = ModelInfo(16_000, 1_500)  # by so short a reply a call for notes is told from others
    assert await lab.agent(reserve=reserve, writer=other).run("do it") == "done"
    assert lab.all(CompactionFailed)
    assert other.requests == []


async def test_what_is_granted_in_part_bounds_the_notes() -> None:
    lab = dear()

    async def reserve(least: Spent, _most: Spent) -> Reserved:
        return Reserved(least)

    assert await lab.agent(reserve=reserve).run("do it") == "done"
    assert lab.compactions
    assert {request.max_output for request in lab.model.summaries} <= {1_023, 1_024, 1_025}


async def test_what_was_counted_bounds_the_call_after_a_compaction_too() -> None:
    lab = Lab(40, window=32_000)
    requests: list[ModelRequest] = []
    stream = lab.model.stream
    lab.model.stream = lambda request: (requests.append(request), stream(request))[1]  # type: ignore[method-assign,func-returns-value] # looks over the model's shoulder
    lab.model.notes = [writes_much(1.0) for _ in range(20)]
    agent = lab.agent()
    agent.inbox.steer("words of a user " * 2_500)
    await agent.run("do it")
    calls = [request for request in requests if request.tools]
    bounds = [(call.input_tokens, prompt) for call, prompt in zip(calls, lab.model.prompts, strict=True)]
    assert len(lab.compactions) > 1
    assert all(prompt <= bound for bound, prompt in bounds)
    for entry in lab.compactions:
        bound, counted = bounds[entry.turn][0], bounds[entry.turn - 1][1]
        # What nobody has counted is bounded by its bytes: the output, and the summary.
        uncounted = 20_000 + len(entry.summary.text)
        assert counted + uncounted < bound <= counted + uncounted + 2_500
