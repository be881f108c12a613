"""Tasks that take more than one run: each goes on exactly where the last one stood."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest

from kugetsu.errors import LeaseLostError, ModelError, WorkspaceError
from kugetsu.events import TaskFinished, TaskHalted, TaskResumed, TaskStarted
from kugetsu.messages import AssistantMessage, Delta, ReplyEnd, Text, TextDelta, ToolResult, UserMessage
from kugetsu.processes.census import marked
from kugetsu.protocols import Lease
from kugetsu.sessions import Checkpoint, Finished, Started
from kugetsu.shadows import TASK_MARKER, Shadow
from kugetsu.tasks import Answer, Cancel, Note, Outcome, Place, Resume, Retry, Task, TaskReport
from kugetsu.testing import DirectoryWorkspace, DirectoryWorkspaces, MemoryStore, says
from support.agent_bench import call, hanging
from support.shadow_bench import Makes, ShadowBench

LONG = "echo x >> runs; touch begun; sleep 99"


async def until_begun(shadows: ShadowBench, shadow: Shadow) -> None:
    async with asyncio.timeout(20):
        while not (shadows.root(shadow) / "begun").exists():
            await asyncio.sleep(0.005)


async def kill(shadows: ShadowBench, running: "asyncio.Task[TaskReport]", shadow: Shadow) -> None:
    """As a crash would: nothing more is written, and the lease is gone."""
    await shadows.crash()
    shadow.lose(LeaseLostError("dead"))
    with pytest.raises(LeaseLostError):
        await running


async def test_a_command_that_a_crash_cut_is_told_as_interrupted_and_not_run_again(shadows: ShadowBench) -> None:
    shadow = shadows.shadow(says("", call("bash", command=LONG)))
    running = asyncio.create_task(shadow.run())
    await until_begun(shadows, shadow)
    await kill(shadows, running, shadow)
    later = await shadows.again(shadow, says("done"))
    report = await later.run()
    assert (report.state, report.runs, report.turns, report.tool_calls) == ("completed", 2, 2, 1)
    assert (shadows.root(shadow) / "runs").read_text() == "x\n"
    [result] = [m for m in (await shadows.log(shadow)).messages if isinstance(m, ToolResult)]
    assert "Interrupted" in result.text
    assert marked(TASK_MARKER, shadow.task.id) == set()


async def test_events_are_numbered_on_over_all_runs(shadows: ShadowBench) -> None:
    shadow = shadows.shadow(says("", call("bash", command=LONG)))
    running = asyncio.create_task(shadow.run())
    await until_begun(shadows, shadow)
    shadow.interrupt()
    report = await running
    assert (report.state, report.outcome and report.outcome.kind) == ("pending", "interrupted")
    await (await shadows.again(shadow, says("done"))).run()
    history = (await shadows.log(shadow)).history
    numbers = [event.seq for event in history]
    assert numbers == sorted(set(numbers))
    frame = [type(e) for e in history if isinstance(e, TaskStarted | TaskHalted | TaskResumed | TaskFinished)]
    assert frame == [TaskStarted, TaskHalted, TaskResumed, TaskFinished]


async def test_an_interrupted_reply_is_asked_for_again_and_leaves_no_trace(shadows: ShadowBench) -> None:
    shadow = shadows.shadow(lambda _request: hanging("half a sen"))
    running = asyncio.create_task(shadow.run())
    while not shadows.model.requests:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.05)
    shadow.interrupt()
    await running
    report = await (await shadows.again(shadow, says("whole"))).run()
    replies = [m.text for m in (await shadows.log(shadow)).messages if isinstance(m, AssistantMessage)]
    assert (report.summary, replies) == ("whole", ["whole"])


async def test_winding_down_lets_the_turn_end(shadows: ShadowBench) -> None:
    shadow = shadows.shadow(says("", call("bash", command="touch begun; sleep 0.3; echo ok")), says("never"))
    running = asyncio.create_task(shadow.run())
    await until_begun(shadows, shadow)
    shadow.wind_down("the program was told to stop")
    report = await running
    assert report.outcome == Outcome("interrupted", "the program was told to stop")
    kept = await shadows.log(shadow)
    assert isinstance(kept.entries[-1], Checkpoint)
    assert [e.result.is_error for e in kept.entries if isinstance(e, Finished)] == [False]


async def test_a_pause_rests_until_somebody_resumes(shadows: ShadowBench) -> None:
    shadow = shadows.shadow(says("", call("bash", command="touch begun; sleep 0.2")), says("never"))
    running = asyncio.create_task(shadow.run())
    await until_begun(shadows, shadow)
    shadow.pause()
    assert (await running).state == "paused"
    await shadows.store.control(shadow.task.id, Resume())
    report = await (await shadows.again(shadow, says("done"))).run()
    assert (report.state, report.turns) == ("completed", 2)


async def test_a_question_waits_and_its_answer_goes_on_in_the_same_session(shadows: ShadowBench) -> None:
    shadow = shadows.shadow(says("", call("ask", question="red or blue?", options=["red", "blue"])))
    report = await shadow.run()
    assert (report.state, report.question) == ("waiting", "red or blue?\n- red\n- blue")
    await shadows.store.control(shadow.task.id, Answer("blue"))
    report = await (await shadows.again(shadow, says("done"))).run()
    assert (report.state, report.question) == ("completed", "")
    [result] = [m for m in (await shadows.log(shadow)).messages if isinstance(m, ToolResult)]
    assert result.text == "blue"


async def test_a_failure_that_may_pass_is_tried_again_as_often_as_the_task_allows(shadows: ShadowBench) -> None:
    task = shadows.task(attempts=2)
    gone = [ModelError("network", "gone")] * 6
    shadow = shadows.shadow_of(task, says("", call("bash", command="echo x >> runs")), *gone)
    report = await shadow.run()
    assert (report.state, report.attempts, report.outcome and report.outcome.kind) == ("pending", 1, "network")
    report = await (await shadows.again(shadow, *gone)).run()
    assert (report.state, report.attempts, report.outcome and report.outcome.kind) == ("failed", 2, "network")
    assert (shadows.root(shadow) / "runs").read_text() == "x\n"


async def test_a_retry_goes_on_with_what_was_tried_in_mind(shadows: ShadowBench) -> None:
    shadow = shadows.shadow(says("I did it"), check="echo seven is missing; test -e seven")
    report = await shadow.run()
    assert report.outcome
    assert report.outcome.kind == "check_failed"
    await shadows.store.control(shadow.task.id, Retry())
    report = await (await shadows.again(shadow, says("", call("bash", command="touch seven")), says("now"))).run()
    assert report.state == "completed"
    told = [m.content for m in (await shadows.log(shadow)).messages if isinstance(m, UserMessage)]
    [last] = [block.text for block in told[-1] if isinstance(block, Text)]
    assert "check_failed" in last
    assert "seven is missing" in last


async def test_a_task_to_be_cancelled_is_brought_home_without_asking_the_model(shadows: ShadowBench) -> None:
    shadow = shadows.shadow(says("", call("bash", command=LONG)))
    running = asyncio.create_task(shadow.run())
    await until_begun(shadows, shadow)
    await kill(shadows, running, shadow)
    await shadows.store.control(shadow.task.id, Cancel("enough"))
    later = await shadows.again(shadow)
    report = await later.run()
    assert (report.state, report.outcome) == ("cancelled", Outcome("cancelled", "enough"))
    assert report.branch
    assert shadows.model.requests == []


async def test_a_check_that_was_interrupted_is_run_again_and_the_model_is_not_asked(shadows: ShadowBench) -> None:
    shadow = shadows.shadow(says("done"), check="echo x >> checks; touch begun; test $(wc -l < checks) = 2 || sleep 99")
    running = asyncio.create_task(shadow.run())
    await until_begun(shadows, shadow)
    shadow.interrupt()
    assert (await running).state == "pending"
    report = await (await shadows.again(shadow)).run()
    assert (report.state, report.turns) == ("completed", 1)
    assert shadows.model.requests == []


async def test_a_lost_lease_stops_at_once_and_writes_nothing(shadows: ShadowBench) -> None:
    shadow = shadows.shadow(says("", call("bash", command=LONG)))
    running = asyncio.create_task(shadow.run())
    await until_begun(shadows, shadow)
    await shadows.crash()
    before = await shadows.log(shadow)
    begun = time.monotonic()
    shadow.lose(LeaseLostError("the lease is gone"))
    with pytest.raises(LeaseLostError):
        await running
    assert time.monotonic() - begun < 5
    after = await shadows.log(shadow)
    assert (after.entries, after.history, after.record) == (before.entries, before.history, before.record)
    assert isinstance(after.entries[-1], Started)


async def test_a_lost_lease_is_noticed_by_the_next_write(shadows: ShadowBench) -> None:
    shadow = shadows.shadow(says("", call("bash", command="touch begun; sleep 0.3; echo ok")), says("never"))
    running = asyncio.create_task(shadow.run())
    await until_begun(shadows, shadow)
    await shadows.crash()
    with pytest.raises(LeaseLostError):
        await running
    assert len(shadows.model.requests) == 1


async def test_the_scratch_directory_lives_as_long_as_the_task(shadows: ShadowBench) -> None:
    shadow = shadows.shadow(says("", call("bash", command='touch "$TMPDIR/kept" begun; sleep 99')))
    running = asyncio.create_task(shadow.run())
    await until_begun(shadows, shadow)
    shadow.interrupt()
    await running
    scratch = shadows.directory / "scratch" / shadow.task.id
    assert (scratch / "tmp" / "kept").exists()
    await (await shadows.again(shadow, says("done"))).run()
    assert not scratch.exists()


class Watched(DirectoryWorkspace):
    """Notes what is done to it."""

    done: ClassVar[list[str]] = []

    async def commit_all(self, message: str) -> bool:
        self.done.append("commit")
        return await super().commit_all(message)

    async def close(self, *, keep: bool = False, residue: bool = False) -> bool:
        self.done.append("close")
        return await super().close(keep=keep, residue=residue)


@pytest.mark.parametrize("known", [True, False], ids=["told", "not told"])
async def test_a_run_that_lost_its_lease_at_its_end_neither_commits_nor_removes(
    shadows: ShadowBench, known: bool
) -> None:
    Watched.done = []
    shadows.workspaces = Makes(shadows.directory / "worktrees", Watched)

    async def lose(_request: object) -> AsyncIterator[Delta]:
        yield TextDelta("done")
        yield ReplyEnd("end")

    shadow = shadows.shadow(lose)
    close_turn = shadow._parts.runtime.close_turn

    async def and_lose() -> None:
        await close_turn()
        await shadows.crash()
        if known:
            shadow.lose(LeaseLostError("gone"))

    shadow._parts.runtime.close_turn = and_lose  # type: ignore[method-assign]  # the moment of this test
    with pytest.raises(LeaseLostError):
        await shadow.run()
    assert Watched.done == []
    assert (await shadows.log(shadow)).record.state == "pending"


async def test_a_cancel_while_the_place_is_written_down_leaves_no_worktree_unknown(shadows: ShadowBench) -> None:
    class Slow(MemoryStore):
        placing = asyncio.Event()

        async def place(self, lease: Lease, place: Place) -> None:
            self.placing.set()
            await asyncio.sleep(0.1)
            await super().place(lease, place)

    Watched.done = []
    store = shadows.store = Slow()
    shadows.workspaces = Makes(shadows.directory / "worktrees", Watched)
    shadow = shadows.shadow(says("never"))
    running = asyncio.create_task(shadow.run())
    await store.placing.wait()
    shadow.cancel()
    report = await running
    assert (report.state, report.branch) == ("cancelled", "kugetsu/x")
    assert Watched.done == ["commit", "close"]


async def test_what_was_said_too_late_is_told_to_the_user(shadows: ShadowBench) -> None:
    shadow = shadows.shadow(says("done"), check="touch begun; while [ -e begun ]; do sleep 0.01; done")
    running = asyncio.create_task(shadow.run())
    await until_begun(shadows, shadow)
    shadow.hear([Note(1, "steering", "mind the gap")])
    (shadows.root(shadow) / "begun").unlink()
    report = await running
    assert 'It was told too late, and did not hear: "mind the gap"' in report.notes


async def test_patience_counts_the_time_without_capacity_alone(shadows: ShadowBench) -> None:
    task = msgspec.structs.replace(shadows.task(), patience_seconds=0.2)
    shadow = shadows.shadow_of(task, says("", call("ask", question="red?")))
    await shadow.run()
    await asyncio.sleep(0.3)
    await shadows.store.control(task.id, Answer("blue"))
    busy = [ModelError("rate_limited", "busy")] * 6
    report = await (await shadows.again(shadow, *busy)).run()
    assert (report.state, report.attempts) == ("waiting", 0)
    await asyncio.sleep(0.3)
    report = await (await shadows.again(shadow, *busy)).run()
    assert (report.state, report.outcome and report.outcome.kind) == ("failed", "rate_limited")


async def test_a_delivery_that_fails_in_a_passing_way_is_tried_again(shadows: ShadowBench) -> None:
    class Locked(DirectoryWorkspace):
        tries: ClassVar[list[str]] = []

        async def deliver(self) -> None:
            self.tries.append("try")
            if len(self.tries) == 1:
                raise WorkspaceError("cannot lock ref")

    class Same(Makes):
        async def reopen(self, task: Task, place: Place, snapshot: str = "") -> DirectoryWorkspace:
            del task, snapshot
            return Locked(Path(place.path), place.branch)

    shadows.workspaces = Same(shadows.directory / "worktrees", Locked)
    shadow = shadows.shadow_of(shadows.task(attempts=2), says("done"))
    report = await shadow.run()
    assert (report.state, report.attempts, report.outcome and report.outcome.kind) == ("pending", 1, "workspace")
    report = await (await shadows.again(shadow)).run()
    assert (report.state, report.turns) == ("completed", 1)


async def test_a_task_whose_worktree_cannot_be_found_still_says_where_its_work_is(shadows: ShadowBench) -> None:
    class Away(DirectoryWorkspaces):
        async def reopen(self, task: Task, place: Place, snapshot: str = "") -> DirectoryWorkspace:
            raise WorkspaceError(f"the repository of {task.id} at {place.path} is away{snapshot and '.'}")

    shadow = shadows.shadow(says("", call("bash", command=LONG)))
    running = asyncio.create_task(shadow.run())
    await until_begun(shadows, shadow)
    shadow.interrupt()
    await running
    shadows.workspaces = Away(shadows.directory / "worktrees")
    report = await (await shadows.again(shadow)).run()
    assert (report.state, report.outcome and report.outcome.kind) == ("failed", "workspace")
    assert report.branch
    assert any(str(shadows.root(shadow)) in note and "was not brought" in note for note in report.notes)
