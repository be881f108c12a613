import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from kugetsu.engine import Presences, Worker
from kugetsu.errors import LeaseLostError, MissingKeyError, RecordError
from kugetsu.events import Event
from kugetsu.protocols import Claim, Concurrency, SystemClock
from kugetsu.shadows import Shadow
from kugetsu.tasks import Answer, Cancel, Pause, Resume, Say, Task, TaskReport
from kugetsu.testing import CannedReply, MemoryStore, says
from support.agent_bench import call
from support.shadow_bench import ShadowBench

SLOW = "touch begun; sleep 0.5"


class Yard:
    """A worker, the tasks it gets, and what their models say."""

    def __init__(self, shadows: ShadowBench) -> None:
        self.shadows = shadows
        self.store = shadows.store
        self.replies: dict[str, list[CannedReply]] = {}
        self.trouble: list[str] = []
        self.alive: set[str] = set()
        self.most_alive = 0
        self.worker = Worker(
            self.store,
            Presences(shadows.directory / "home"),
            clock=SystemClock(),
            lease_seconds=5.0,
            on_trouble=self.trouble.append,
        )
        shadows.register = self.worker.ready  # type: ignore[method-assign]  # one worker for all shadows here

    def make(self, claim: Claim) -> Shadow:
        task = claim.record.task
        shadow = self.shadows.shadow_of(task, *self.replies.get(task.prompt, []), claim=claim)
        shadow.feed.attach(self._watch)
        return shadow

    def _watch(self, event: Event) -> None:
        if type(event).__name__ in {"TaskStarted", "TaskResumed"}:
            self.alive.add(event.task)
            self.most_alive = max(self.most_alive, len(self.alive))
        elif type(event).__name__ in {"TaskFinished", "TaskHalted"}:
            self.alive.discard(event.task)

    async def submit(self, prompt: str, *replies: CannedReply, **more: object) -> str:
        self.replies[prompt] = list(replies) or [says(f"{prompt} is done")]
        fields = {"id": f"t{len(self.replies)}", "repo": "r", "model": "m", "prompt": prompt, **more}
        submitted = await self.store.submit(Task(**fields))  # type: ignore[arg-type]  # fields of a task
        self.worker.call()
        return submitted.record.id

    async def report(self, task: str) -> TaskReport:
        return (await self.store.find(task)).shown

    async def until(self, true: Callable[[TaskReport], bool], task: str) -> TaskReport:
        async with asyncio.timeout(20):
            while not true(report := await self.report(task)):
                await asyncio.sleep(0.01)
        return report

    async def until_begun(self, task: str) -> None:
        async with asyncio.timeout(20):
            while not (self.shadows.directory / "worktrees" / task / "begun").exists():
                await asyncio.sleep(0.005)

    async def serve(self, slots: int = 3, limits: Concurrency | None = None, *, until_idle: bool = True) -> None:
        async with self.worker.open():
            await self.worker.serve(
                self.make, room=lambda running: slots - running, limits=lambda: limits, until_idle=until_idle
            )


@pytest.fixture
def yard(shadows: ShadowBench) -> Yard:
    return Yard(shadows)


async def test_all_tasks_are_done_and_no_more_at_once_than_there_are_slots(yard: Yard) -> None:
    tasks = [await yard.submit(f"job {n}", says("", call("bash", command="sleep 0.05")), says("ok")) for n in range(9)]
    await yard.serve(slots=3)
    assert {(await yard.report(task)).state for task in tasks} == {"completed"}
    assert yard.most_alive == 3
    assert yard.trouble == []


async def test_one_task_of_a_repository_at_a_time_when_the_settings_say_so(yard: Yard) -> None:
    for n in range(4):
        await yard.submit(f"job {n}", says("", call("bash", command="sleep 0.05")), says("ok"))
    await yard.serve(slots=4, limits=Concurrency(repository=1))
    assert yard.most_alive == 1


async def test_a_task_comes_after_the_one_it_waits_for(yard: Yard) -> None:
    first = await yard.submit("first", says("", call("bash", command="sleep 0.1")), says("ok"))
    second = await yard.submit("second", after=(first,), priority=100)
    order: list[str] = []
    make = yard.make

    def noting(claim: Claim) -> Shadow:
        order.append(claim.record.id)
        return make(claim)

    yard.make = noting  # type: ignore[method-assign]  # looks over its shoulder
    await yard.serve()
    assert order == [first, second]


async def test_a_task_that_this_worker_cannot_do_rests_and_says_why(yard: Yard) -> None:
    make = yard.make

    def keyless(claim: Claim) -> Shadow:
        if claim.record.task.prompt == "keyless":
            raise MissingKeyError("no key for openai", fix="export OPENAI_API_KEY")
        return make(claim)

    yard.make = keyless  # type: ignore[method-assign]  # lacks something for one task
    bad, good = await yard.submit("keyless"), await yard.submit("good")
    async with asyncio.TaskGroup() as group:
        group.create_task(yard.serve(until_idle=False))
        report = await yard.until(lambda r: r.state == "pending" and r.runs == 1, bad)
        assert (await yard.until(lambda r: r.state == "completed", good)).turns == 1
        yard.worker.stop()
    assert report.attempts == 0
    assert report.outcome
    assert "no key for openai" in report.outcome.message
    assert any("export OPENAI_API_KEY" in sentence for sentence in yard.trouble)


async def test_what_users_want_reaches_a_running_task(yard: Yard) -> None:
    said = await yard.submit("talk", says("", call("bash", command=SLOW)), says("I heard"))
    paused = await yard.submit("rest", says("", call("bash", command=SLOW)), says("never"))
    ended = await yard.submit("end", says("", call("bash", command="touch begun; sleep 99")))
    async with asyncio.TaskGroup() as group:
        group.create_task(yard.serve(until_idle=False))
        for task in (said, paused, ended):
            await yard.until_begun(task)
        await yard.store.control(said, Say("mind the gap"))
        await yard.store.control(paused, Pause())
        await yard.store.control(ended, Cancel("enough"))
        yard.worker.call()
        assert (await yard.until(lambda r: r.state == "cancelled", ended)).outcome
        await yard.until(lambda r: r.state == "paused", paused)
        assert (await yard.until(lambda r: r.state == "completed", said)).turns == 2
        yard.worker.stop()
    session = await yard.store.session(said)
    assert "mind the gap" in str(session)


async def test_a_question_frees_the_slot_and_the_answer_takes_it_up_again(yard: Yard) -> None:
    asks = await yard.submit("ask", says("", call("ask", question="red?")))
    other = await yard.submit("other")
    async with asyncio.TaskGroup() as group:
        group.create_task(yard.serve(slots=1, until_idle=False))
        await yard.until(lambda r: r.state == "waiting", asks)
        await yard.until(lambda r: r.state == "completed", other)
        yard.replies["ask"] = [says("thank you")]
        await yard.store.control(asks, Answer("blue"))
        await yard.until(lambda r: r.state == "completed", asks)
        yard.worker.stop()


async def test_a_stop_lets_turns_end_and_another_worker_goes_on(yard: Yard) -> None:
    task = await yard.submit("long", says("", call("bash", command=SLOW)), says("never"))
    async with asyncio.TaskGroup() as group:
        group.create_task(yard.serve(until_idle=False))
        await yard.until_begun(task)
        yard.worker.stop()
    report = await yard.report(task)
    assert (report.state, report.outcome and report.outcome.kind) == ("pending", "interrupted")
    assert await yard.store.workers() == []
    other = Yard(yard.shadows)
    other.replies["long"] = [says("done")]
    await other.serve()
    report = await other.report(task)
    assert (report.state, report.turns, report.attempts) == ("completed", 2, 0)


async def test_an_interrupt_ends_what_a_stop_would_wait_for(yard: Yard) -> None:
    task = await yard.submit("long", says("", call("bash", command="touch begun; sleep 99")))
    async with asyncio.TaskGroup() as group:
        group.create_task(yard.serve(until_idle=False))
        await yard.until_begun(task)
        yard.worker.interrupt()
    assert (await yard.report(task)).state == "pending"


async def test_a_worker_that_loses_its_lease_stops_its_tasks_and_takes_them_up_anew(yard: Yard) -> None:
    task = await yard.submit("long", says("", call("bash", command="touch begun; sleep 99")))
    async with asyncio.TaskGroup() as group:
        group.create_task(yard.serve(until_idle=False))
        await yard.until_begun(task)
        yard.replies["long"] = [says("done")]
        await yard.store.reap({yard.worker.info.id})
        await yard.until(lambda r: r.state == "completed", task)
        yard.worker.stop()
    assert any("lost" in sentence or "lease" in sentence for sentence in yard.trouble)


async def test_a_task_that_could_not_be_written_down_is_given_back(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kugetsu.engine.worker._GIVE_BACK_SECONDS", 0.01)
    assert isinstance(yard.store, MemoryStore)
    append = yard.store.append
    fails = iter([True])

    async def sometimes(*arguments: object, **more: object) -> None:
        if next(fails, False):
            raise RecordError("disk full")
        await append(*arguments, **more)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(yard.store, "append", sometimes)
    task = await yard.submit("job")
    await yard.serve()
    report = await yard.report(task)
    assert (report.state, report.runs) == ("completed", 2)
    assert any("disk full" in sentence for sentence in yard.trouble)


async def test_a_foreground_task_passes_the_queue_and_is_not_taken_by_others(yard: Yard, tmp_path: Path) -> None:
    shadow = yard.shadows.shadow(says("", call("bash", command=SLOW)), says("done"))
    other = Worker(yard.store, Presences(tmp_path), clock=SystemClock())
    async with yard.worker.open(), other.open():
        running = asyncio.create_task(yard.worker.run(shadow))
        await yard.until_begun(shadow.task.id)
        await other.ready()
        assert await yard.store.claim(other.info.id, 5) == []
        assert (await running).state == "completed"


async def test_a_pause_that_is_withdrawn_during_the_turn_pauses_nothing(yard: Yard) -> None:
    task = await yard.submit("long", says("", call("bash", command="touch begun; sleep 1.5")), says("done"))
    async with asyncio.TaskGroup() as group:
        group.create_task(yard.serve(until_idle=False))
        await yard.until_begun(task)
        yard.replies["long"] = [says("done")]
        await yard.store.control(task, Pause())
        yard.worker.call()
        await asyncio.sleep(0.6)
        await yard.store.control(task, Resume())
        assert (await yard.until(lambda r: r.state in {"completed", "paused"}, task)).state == "completed"
        yard.worker.stop()


async def test_a_resumed_pause_that_had_no_effect_yet_has_none(yard: Yard) -> None:
    task = await yard.submit("long", says("", call("bash", command=SLOW)), says("done"))
    await yard.store.control(task, Pause())
    await yard.store.control(task, Resume())
    await yard.serve()
    assert (await yard.report(task)).state == "completed"


async def test_what_was_not_finished_is_given_back_at_the_end(yard: Yard) -> None:
    async with yard.worker.open():
        info = await yard.worker.ready()
        await yard.submit("job")
        await yard.store.claim(info.id, 1)
    assert (await yard.report("t1")).state == "pending"
    with pytest.raises(LeaseLostError):
        await yard.store.renew(info.id, 5.0)


async def test_a_stop_reaches_what_is_claimed_at_that_moment(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = yard.store.claim

    async def slow(worker: str, most: int, limits: Concurrency | None = None) -> list[Claim]:
        claims = await claim(worker, most, limits)
        yard.worker.stop()
        return claims

    monkeypatch.setattr(yard.store, "claim", slow)
    task = await yard.submit("job")
    await yard.serve()
    report = await yard.report(task)
    assert (report.state, report.turns) == ("pending", 0)


async def test_leaving_while_a_task_runs_ends_its_run_before_others_may_have_it(yard: Yard) -> None:
    shadow = yard.shadows.shadow(says("", call("bash", command="touch begun; sleep 99")))
    async with asyncio.TaskGroup() as group:
        async with yard.worker.open():
            running = group.create_task(yard.worker.run(shadow))
            await yard.until_begun(shadow.task.id)
        assert (await yard.report(shadow.task.id)).state == "pending"
        assert (await running).state == "pending"


async def test_a_defect_in_making_a_shadow_fails_its_task_alone(yard: Yard) -> None:
    make = yard.make

    def broken(claim: Claim) -> Shadow:
        if claim.record.task.prompt == "broken":
            raise RecursionError("so deep")
        return make(claim)

    yard.make = broken  # type: ignore[method-assign]  # breaks for one task
    bad, good = await yard.submit("broken"), await yard.submit("good")
    await yard.serve()
    assert ((await yard.report(bad)).state, (await yard.report(good)).state) == ("failed", "completed")


async def test_tasks_whose_claim_nobody_can_confirm_are_given_back(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = yard.store.claim
    fails = iter([True])

    async def unsure(worker: str, most: int, limits: Concurrency | None = None) -> list[Claim]:
        claims = await claim(worker, most, limits)
        if next(fails, False):
            raise RecordError("the answer was lost", unknown=True)
        return claims

    monkeypatch.setattr(yard.store, "claim", unsure)
    task = await yard.submit("job")
    async with asyncio.timeout(20):
        await yard.serve()
    assert (await yard.report(task)).state == "completed"
