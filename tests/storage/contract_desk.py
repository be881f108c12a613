"""What users and gateways look up."""

from typing import get_args

import msgspec
import pytest

from kugetsu.errors import TaskNotFoundError
from kugetsu.tasks import Outcome, Retry, Run, TaskState
from storage.store_lab import Lab
from tasks.task_lab import an_ending

LOOKUPS = ["events", "session", "runs"]


class DeskContract:
    """Find, reports, counts, runs."""

    # Find.

    async def test_a_task_is_found_by_the_beginning_of_its_id(self, lab: Lab) -> None:
        for name in ("abc", "abd", "b_c", "bxd"):
            await lab.submit(name)
        assert (await lab.find("abc")).id == "abc"
        assert (await lab.find("b_")).id == "b_c"
        assert (await lab.find("bx")).id == "bxd"

    async def test_a_whole_id_is_found_though_others_begin_with_it(self, lab: Lab) -> None:
        for name in ("abc", "ab", "abcd"):
            await lab.submit(name)
        assert (await lab.find("ab")).id == "ab"
        assert (await lab.find("abc")).id == "abc"

    @pytest.mark.parametrize("prefix", ["", "a", "ab", "c", "abcde", "A", "_", "%", "a%", "*", "a?", "'", "\0", "é"])
    async def test_what_fits_no_task_or_several_is_not_found(self, lab: Lab, prefix: str) -> None:
        for name in ("abc", "abd"):
            await lab.submit(name)
        with pytest.raises(TaskNotFoundError):
            await lab.find(prefix)

    @pytest.mark.parametrize("lookup", LOOKUPS)
    async def test_what_belongs_to_no_task_is_not_found(self, lab: Lab, lookup: str) -> None:
        await lab.submit("abc")
        for name in ("b", "ab", ""):
            with pytest.raises(TaskNotFoundError):
                await getattr(lab.store, lookup)(name)

    # Reports.

    async def test_reports_come_newest_first(self, lab: Lab) -> None:
        for name in ("c", "a", "b"):
            await lab.submit(name, created_at=1.0)
        assert [report.id for report in await lab.store.reports()] == ["b", "a", "c"]

    async def test_reports_are_had_page_by_page(self, lab: Lab) -> None:
        numbers = {name: (await lab.submit(name)).number for name in "abcde"}
        assert [report.id for report in await lab.store.reports(most=2)] == ["e", "d"]
        page = await lab.store.reports(most=2, before=numbers["d"])
        assert [report.id for report in page] == ["c", "b"]
        assert [report.id for report in await lab.store.reports(before=numbers["b"])] == ["a"]
        assert await lab.store.reports(before=numbers["a"]) == []

    @pytest.mark.parametrize(("number", "found"), [(2**63 - 1, 2), (2**63, 2), (2**200, 2), (0, 2), (-(2**200), 2)])
    async def test_numbers_of_any_size_are_understood(self, lab: Lab, number: int, found: int) -> None:
        for name in "ab":
            await lab.submit(name)
        assert len(await lab.store.reports(before=number)) == found
        assert len(await lab.store.reports(most=number)) == found
        assert len(await lab.store.events("a", after=number, most=number)) == (number <= 0)
        assert len(await lab.store.feed(after=number, most=number)) == (found if number <= 0 else 0)
        assert await lab.store.deliveries(before=number, most=number) == []

    async def test_reports_are_had_by_state(self, lab: Lab) -> None:
        await lab.running("a")
        await lab.submit("b")
        await lab.finish("c", "failed")
        await lab.submit("d")
        assert [report.id for report in await lab.store.reports(states=["pending"])] == ["d", "b"]
        assert [report.id for report in await lab.store.reports(states={"running", "failed"})] == ["c", "a"]
        assert [report.id for report in await lab.store.reports(states=["pending"], most=1)] == ["d"]
        assert await lab.store.reports(states=["paused"]) == []

    async def test_a_report_says_what_was_computed_and_where_the_task_stands(self, lab: Lab) -> None:
        claim = await lab.running(repo="https://user:secret@host/x.git")
        computed = msgspec.structs.replace(claim.record.report, summary="half of it", turns=4, branch="kugetsu/a-b")
        ending = an_ending("waiting", report=computed, question="which?", message="which?")
        await lab.store.settle(claim.lease, ending)
        (report,) = await lab.store.reports()
        assert report == (await lab.find()).shown
        assert (report.summary, report.turns, report.branch) == ("half of it", 4, "kugetsu/a-b")
        assert (report.state, report.question, report.runs) == ("waiting", "which?", 1)
        assert report.outcome == Outcome("question", "which?")
        assert report.repo == "https://***@host/x.git"

    async def test_a_run_that_died_does_not_take_back_what_was_computed_before(self, lab: Lab) -> None:
        claim = await lab.running()
        computed = msgspec.structs.replace(claim.record.report, summary="half of it")
        await lab.store.settle(claim.lease, an_ending("pending", report=computed))
        await lab.running()
        await lab.die()
        assert (await lab.find()).shown.summary == "half of it"

    # Counts.

    async def test_every_state_is_counted_also_with_nothing_in_it(self, lab: Lab) -> None:
        assert await lab.store.counts() == dict.fromkeys(get_args(TaskState), 0)
        await lab.running("a")
        await lab.submit("b")
        await lab.submit("c")
        await lab.finish("d", "completed")
        counts = await lab.store.counts()
        assert counts.keys() == set(get_args(TaskState))
        assert {state: count for state, count in counts.items() if count} == {
            "running": 1,
            "pending": 2,
            "completed": 1,
        }

    # Runs.

    async def test_each_claim_is_a_run_with_its_worker_its_time_and_its_end(self, lab: Lab) -> None:
        begun = lab.now
        claim = await lab.running()
        assert await lab.store.runs("a") == [Run(generation=1, worker="w", started_at=begun)]
        await lab.die()
        died = lab.now
        await lab.running(worker="w2")
        lab.clock.advance(1)
        await lab.store.retire("w2")
        lab.clock.advance(1)
        claim = await lab.running(worker="w3")
        lab.clock.advance(1)
        await lab.settle(claim, "failed", kind="network", message="cut off")
        first, second, third = await lab.store.runs("a")
        assert (first.generation, first.worker, first.started_at, first.ended_at) == (1, "w", begun, died)
        assert first.outcome is not None
        assert first.outcome.kind == "interrupted"
        assert (second.generation, second.worker, second.ended_at) == (3, "w2", died + 1)
        assert second.outcome is not None
        assert second.outcome.kind == "interrupted"
        assert (third.generation, third.started_at, third.ended_at) == (5, died + 2, died + 3)
        assert third.outcome == Outcome("network", "cut off")

    async def test_a_task_that_never_ran_has_no_runs_whatever_became_of_it(self, lab: Lab) -> None:
        await lab.submit("a", deadline_at=lab.now + 1)
        lab.clock.advance(2)
        await lab.claim()
        await lab.store.control("a", Retry())
        assert await lab.store.runs("a") == []
        assert (await lab.find()).runs == 0
