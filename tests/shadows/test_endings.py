"""However a run ends, and whatever breaks while it does: one outcome, one last event, nothing lost."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from kugetsu.errors import RecordError
from kugetsu.events import Event, Noted, TaskFinished, TaskHalted
from kugetsu.protocols import Lease, Submitted
from kugetsu.sessions import Entry
from kugetsu.shadows import Shadow
from kugetsu.tasks import Ending, Limits, Task, TaskRecord
from kugetsu.testing import DirectoryWorkspace, MemoryStore, says
from support.agent_bench import call
from support.shadow_bench import Makes, ShadowBench

STUBBORN = "trap '' TERM; touch begun; while :; do sleep 1; done"


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.005)


class Slow(DirectoryWorkspace):
    """Takes its time at the end."""

    closed: bool = False

    async def commit_all(self, message: str) -> bool:
        (self.path / "committing").touch()
        await asyncio.sleep(0.3)
        return await super().commit_all(message)

    async def close(self, *, keep: bool = False, residue: bool = False) -> bool:
        (self.path / "closing").touch()
        await asyncio.sleep(0.3)
        self.closed = True
        return await super().close(keep=keep, residue=residue)


async def ends(shadows: ShadowBench, shadow: Shadow) -> list[str]:
    history = (await shadows.log(shadow)).history
    return [event.outcome.kind for event in history if isinstance(event, TaskFinished | TaskHalted)]


async def test_a_second_cancel_while_the_first_is_still_ending_a_command_changes_nothing(shadows: ShadowBench) -> None:
    shadow = shadows.shadow(says("", call("bash", command=STUBBORN)))
    running = asyncio.create_task(shadow.run())
    await until((shadows.root(shadow) / "begun").exists)
    shadow.cancel("first")
    await asyncio.sleep(0.1)
    shadow.cancel("second")
    report = await running
    assert report.outcome
    assert (report.outcome.kind, report.outcome.message) == ("cancelled", "first")


async def test_a_cancel_from_outside_is_obeyed_also_while_a_limit_ends_the_agent(shadows: ShadowBench) -> None:
    calls = (call("bash", command=STUBBORN), call("bash", "c2", command=STUBBORN))
    shadow = shadows.shadow(says("", *calls), check="touch checked", limits=Limits(wall_seconds=0.5))
    running = asyncio.create_task(shadow.run())
    await until((shadows.root(shadow) / "begun").exists)
    await asyncio.sleep(0.8)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not (shadows.root(shadow) / "checked").exists()


@pytest.mark.parametrize("moment", ["committing", "closing"])
async def test_a_cancel_from_outside_at_the_end_leaves_one_end_and_a_whole_record(
    shadows: ShadowBench, moment: str
) -> None:
    makes = shadows.workspaces = Makes(shadows.directory / "worktrees", Slow)
    shadow = shadows.shadow(says("done"))
    running = asyncio.create_task(shadow.run())
    await until((shadows.root(shadow) / moment).exists)
    for _ in range(3):
        running.cancel()
        await asyncio.sleep(0.05)
    with pytest.raises(asyncio.CancelledError):
        await running
    report = (await shadows.log(shadow)).report
    assert report.outcome
    assert await ends(shadows, shadow) == [report.outcome.kind]
    assert report.outcome.kind == ("completed" if moment == "closing" else "interrupted")
    assert isinstance(makes.made[0], Slow)
    assert makes.made[0].closed == (moment == "closing")


class FullDisk(MemoryStore):
    """A store whose disk is full from some moment on."""

    full: bool = False

    async def append(self, lease: Lease, entries: Sequence[Entry], **more: Any) -> None:
        self._look()
        await super().append(lease, entries, **more)

    async def settle(self, lease: Lease, ending: Ending, **more: Any) -> TaskRecord:
        self._look()
        return await super().settle(lease, ending, **more)

    def _look(self) -> None:
        if self.full:
            raise RecordError("disk full")


async def test_a_full_disk_while_stopping_does_not_hide_the_cancel(shadows: ShadowBench) -> None:
    store = shadows.store = FullDisk()
    shadow = shadows.shadow(says("", call("bash", command="touch begun; sleep 99")))
    running = asyncio.create_task(shadow.run())
    await until((shadows.root(shadow) / "begun").exists)
    store.full = True
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_full_disk_in_mid_run_stops_the_run_and_the_next_one_goes_on(shadows: ShadowBench) -> None:
    store = shadows.store = FullDisk()
    shadow = shadows.shadow(says("", call("bash", command="touch begun; while [ -e begun ]; do sleep 0.01; done")))
    running = asyncio.create_task(shadow.run())
    begun = shadows.root(shadow) / "begun"
    await until(begun.exists)
    store.full = True
    begun.unlink()
    with pytest.raises(RecordError):
        await running
    store.full = False
    await shadows.crash()
    report = await (await shadows.again(shadow, says("done"))).run()
    assert (report.state, report.runs) == ("completed", 2)


async def test_a_task_that_cannot_be_written_down_is_not_begun(shadows: ShadowBench) -> None:
    class Closed(MemoryStore):
        async def submit(self, task: Task, **_more: Any) -> Submitted:
            raise RecordError(f"disk full, {task.id} is not saved")

    makes = shadows.workspaces = Makes(shadows.directory / "worktrees", Slow)
    shadows.store = Closed()
    with pytest.raises(RecordError):
        await shadows.shadow(says("x")).run()
    assert makes.made == []


async def test_a_defect_outside_the_agent_ends_its_task_with_an_outcome(shadows: ShadowBench) -> None:
    shadows.workspaces = Makes(shadows.directory / "worktrees", Slow)
    shadow = shadows.shadow(says("x"))
    shadow._parts.runtime.run = None  # type: ignore[method-assign, assignment]  # that is the defect
    report = await shadow.run()
    assert (report.state, report.outcome and report.outcome.kind) == ("failed", "internal")
    assert any(
        "Traceback" in event.message for event in (await shadows.log(shadow)).history if isinstance(event, Noted)
    )


async def test_the_last_event_is_the_end_also_for_a_listener_that_fails(shadows: ShadowBench) -> None:
    from kugetsu.agent import Hooks

    async def broken(event: Event) -> None:
        if event.seq > 3:
            raise ValueError("listener bug")

    shadow = shadows.shadow(says("x"), hooks=Hooks(on_event=broken))
    await shadow.run()
    assert isinstance((await shadows.log(shadow)).history[-1], TaskFinished)


async def test_a_check_that_prints_without_end_is_read_to_its_end(shadows: ShadowBench) -> None:
    check = "head -c 110000000 /dev/zero | tr '\\0' x; echo; echo the end"
    report = await shadows.shadow(says("x"), check=check, check_seconds=30).run()
    assert report.check
    assert report.check.passed
    assert report.check.output_tail.endswith("the end")
    assert len(report.check.output_tail) <= 4_000


async def test_a_check_may_empty_its_own_output_by_name(shadows: ShadowBench) -> None:
    report = await shadows.shadow(says("x"), check="echo one; echo two > /dev/stderr; echo three").run()
    assert report.check
    assert report.check.output_tail == "one\ntwo\nthree"


async def test_a_check_that_cannot_be_started_says_so(shadows: ShadowBench) -> None:
    shadow = shadows.shadow(says("", call("bash", command='rm -rf "$PWD"')), says("ok"), check="true")
    report = await shadow.run()
    assert report.outcome
    assert report.outcome.kind == "check_failed"
    assert "could not be started" in report.outcome.message


@pytest.mark.parametrize(
    "skill", ["---\nname: x\ndescription: 2024-13-45\n---\n", "---\nname: &a [1]\ndescription: *a\n---\n"]
)
async def test_a_hostile_skill_ends_nothing(shadows: ShadowBench, skill: str) -> None:
    class Hostile(DirectoryWorkspace):
        def __init__(self, path: Path, branch: str, kept: Path | None = None) -> None:
            super().__init__(path, branch, kept)
            file = path / ".agents/skills/x/SKILL.md"
            file.parent.mkdir(parents=True)
            file.write_text(skill)

    shadows.workspaces = Makes(shadows.directory / "worktrees", Hostile)
    report = await shadows.shadow(says("x")).run()
    assert report.state == "completed"


async def test_the_subdirectory_of_a_task_counts(shadows: ShadowBench) -> None:
    class Below(DirectoryWorkspace):
        def __init__(self, path: Path, branch: str, kept: Path | None = None) -> None:
            super().__init__(path, branch, kept)
            self.directory = path / "sub"
            self.directory.mkdir()
            (path / "AGENTS.md").write_text("words of the root")
            (path / "sub" / "AGENTS.md").write_text("words of sub")

    shadows.workspaces = Makes(shadows.directory / "worktrees", Below)
    await shadows.shadow(says("x")).run()
    system = shadows.model.requests[0].system
    assert system.index("words of the root") < system.index("words of sub")
    assert "The task is about sub in it." in system
