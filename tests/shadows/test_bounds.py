import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from kugetsu.errors import ModelError
from kugetsu.events import Noted, TaskHalted
from kugetsu.messages import Delta, ReplyEnd, TextDelta, Usage
from kugetsu.protocols import ModelInfo
from kugetsu.shadows import Shadow
from kugetsu.tasks import Budget, Budgets, Limits, Resume, TaskReport, day_of
from kugetsu.testing import CannedModel, CannedReply, says
from support.agent_bench import call
from support.shadow_bench import ShadowBench

DEAR = ModelInfo(context_window=200_000, max_output=10_000, priced=True, usd_input=1e-7, usd_output=1e-4)


@pytest.fixture
def shadows(tmp_path: Path) -> ShadowBench:
    return ShadowBench(tmp_path)


@pytest.fixture
def dear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CannedModel, "info", DEAR)


def kind_of(report: TaskReport) -> str:
    return report.outcome.kind if report.outcome else ""


async def test_a_task_that_hits_a_limit_pauses_with_the_reason_and_goes_on_with_more(shadows: ShadowBench) -> None:
    work = [says("", call("write", f"c{n}", path=f"f{n}", content="x")) for n in range(3)]
    shadow = shadows.shadow(*work, limits=Limits(turns=2))
    report = await shadow.run()
    assert (report.state, kind_of(report), report.turns) == ("paused", "turn_limit", 2)
    assert (shadows.root(shadow) / "f1").exists()
    await shadows.store.control(shadow.task.id, Resume())
    again = await shadows.again(shadow, *work[2:])
    report = await again.run()
    assert (report.state, kind_of(report), report.turns) == ("paused", "turn_limit", 2)
    await shadows.store.control(shadow.task.id, Resume(Limits(turns=9)))
    again = await shadows.again(shadow, *work[2:])
    assert again.task.limits.turns == 9
    report = await again.run()
    assert (report.state, report.turns) == ("completed", 4)


async def test_an_agent_that_goes_round_in_circles_pauses_its_task(shadows: ShadowBench) -> None:
    report = await shadows.shadow(*[says("", call("ls", f"c{n}")) for n in range(20)]).run()
    assert (report.state, kind_of(report)) == ("paused", "loop")


async def test_a_queued_task_without_capacity_waits_until_the_provider_says(shadows: ShadowBench) -> None:
    task = msgspec.structs.replace(shadows.task(), patience_seconds=9_000.0)
    before = time.time()
    shadow = shadows.shadow_of(task, ModelError("rate_limited", "busy", retry_after=500.0))
    report = await shadow.run()
    assert (report.state, kind_of(report), report.attempts) == ("waiting", "rate_limited", 0)
    assert before + 500 <= report.available_at <= time.time() + 560
    assert report.outcome
    assert before + 500 <= report.outcome.until <= time.time() + 500
    halted = [event for event in (await shadows.log(shadow)).history if isinstance(event, TaskHalted)]
    assert [(event.state, event.available_at) for event in halted] == [("waiting", report.available_at)]


def budgeted(shadows: ShadowBench, budget: Budget, *replies: CannedReply, repo: str = "none") -> Shadow:
    shadow = shadows.shadow(*replies, repo=repo)
    shadow._parts = replace(shadow._parts, budgets=Budgets(day=budget))
    return shadow


@pytest.mark.usefixtures("dear")
async def test_tasks_side_by_side_never_pass_the_budget_of_the_day_together(shadows: ShadowBench) -> None:
    reply = says("", call("ls"), usage=Usage(100, 1_500, 0, 0.15))
    made = [budgeted(shadows, Budget(usd=2.0), reply, says("ok", usage=Usage(100, 100, 0, 0.01))) for _ in range(8)]
    async with asyncio.timeout(40):
        reports = await asyncio.gather(*(shadow.run() for shadow in made))
    (spending,) = await shadows.store.spending(day_of(time.time()))
    assert spending.spent.usd == pytest.approx(sum(report.usage.cost_usd or 0 for report in reports))
    assert spending.spent.usd <= 2.0
    assert {report.state for report in reports} == {"completed"}


@pytest.mark.usefixtures("dear")
async def test_a_task_that_would_pass_the_budget_of_the_day_waits_for_the_next(shadows: ShadowBench) -> None:
    first = budgeted(shadows, Budget(usd=0.2), says("ok", usage=Usage(100, 1_500, 0, 0.15)))
    assert (await first.run()).state == "completed"
    second = budgeted(shadows, Budget(usd=0.2), says("never"))
    report = await second.run()
    assert (report.state, kind_of(report), report.question) == ("waiting", "budget", "")
    assert report.outcome
    assert "0.2" in report.outcome.message
    assert report.outcome.until % 86_400 == 0
    assert time.time() < report.outcome.until <= report.available_at <= report.outcome.until + 60
    assert shadows.model.requests == []


async def test_turns_and_tokens_of_a_day_are_bounded_too(shadows: ShadowBench) -> None:
    for budget in (Budget(turns=1), Budget(tokens=20_000)):
        bench = ShadowBench(shadows.directory / f"{budget.turns}")
        first = budgeted(bench, budget, says("ok", usage=Usage(18_000, 1_500, 0, None)))
        assert (await first.run()).state == "completed"
        report = await budgeted(bench, budget, says("never")).run()
        assert (report.state, kind_of(report)) == ("waiting", "budget")


@pytest.mark.usefixtures("dear")
async def test_a_run_that_waits_for_what_others_have_set_aside_says_so(shadows: ShadowBench) -> None:
    release = asyncio.Event()

    async def slow(_request: object) -> AsyncIterator[Delta]:
        yield TextDelta("ok")
        await release.wait()
        yield ReplyEnd("end", Usage(10, 10, 0, 0.001))

    first = budgeted(shadows, Budget(usd=1.0), slow)
    second = budgeted(shadows, Budget(usd=1.0), says("ok"))
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        one = group.create_task(first.run())
        while not (await shadows.store.counts())["running"]:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        two = group.create_task(second.run())
        await asyncio.sleep(0.3)
        assert not two.done()
        release.set()
    assert (one.result().state, two.result().state) == ("completed", "completed")
    notes = [event.message for event in (await shadows.log(second)).history if isinstance(event, Noted)]
    assert any("set aside" in note for note in notes)


@pytest.mark.usefixtures("dear")
async def test_a_call_that_is_interrupted_counts_as_what_it_may_have_cost(shadows: ShadowBench) -> None:
    async def half(_request: object) -> AsyncIterator[Delta]:
        yield TextDelta("x" * 3_000)
        await asyncio.Event().wait()

    shadow = budgeted(shadows, Budget(usd=50.0), half)
    running = asyncio.create_task(shadow.run())
    async with asyncio.timeout(20):
        while not shadows.model.requests:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    shadow.interrupt("the program stops")
    assert (await running).state == "pending"
    (spending,) = await shadows.store.spending(day_of(time.time()))
    assert 0.3 <= spending.spent.usd < 0.6
    assert spending.spent.turns == 0


async def test_a_call_that_fits_no_day_pauses_its_task(shadows: ShadowBench) -> None:
    report = await budgeted(shadows, Budget(tokens=100), says("never")).run()
    assert (report.state, kind_of(report)) == ("paused", "token_limit")
    assert shadows.model.requests == []


async def test_a_budget_of_time_is_looked_at_before_each_call(shadows: ShadowBench) -> None:
    first = budgeted(shadows, Budget(seconds=0.2), says("", call("bash", command="sleep 0.4")), says("ok"))
    report = await first.run()
    assert (report.state, kind_of(report), report.turns) == ("waiting", "budget", 1)
