import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from kugetsu.agent import Hooks
from kugetsu.errors import ModelError, RepositoryError, UsageError, WorkspaceError
from kugetsu.events import Event, Noted, TaskFinished
from kugetsu.messages import AssistantMessage, Text, ToolResult, UserMessage
from kugetsu.processes.census import marked
from kugetsu.shadows import TASK_MARKER, Shadow
from kugetsu.tasks import Changes, Limits, Task
from kugetsu.testing import DirectoryWorkspace, DirectoryWorkspaces, says
from support.agent_bench import call, hanging
from support.shadow_bench import Makes, ShadowBench


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.005)


async def test_a_task_that_is_done_is_completed_and_fully_reported(shadows: ShadowBench) -> None:
    shadow = shadows.shadow(
        says("", call("write", path="a.txt", content="x")), says("  wrote it "), check="test -f a.txt"
    )
    report = await shadow.run()
    assert report.state == "completed"
    assert report.outcome
    assert report.outcome.kind == "completed"
    assert (report.summary, report.turns, report.tool_calls) == ("wrote it", 2, 1)
    assert report.check
    assert report.check.passed
    assert (await shadows.log(shadow)).report == report
    assert not (shadows.directory / "scratch" / shadow.task.id).exists()


async def test_a_check_that_fails_makes_the_task_fail_and_its_output_is_kept(shadows: ShadowBench) -> None:
    report = await shadows.shadow(says("done"), check="echo why; exit 7").run()
    assert (report.state, report.outcome and report.outcome.kind) == ("failed", "check_failed")
    assert report.check
    assert (report.check.passed, report.check.exit_code, report.check.output_tail) == (False, 7, "why")


async def test_a_check_that_takes_too_long_is_ended_with_everything_it_started(shadows: ShadowBench) -> None:
    shadow = shadows.shadow(says("done"), check="echo begun; setsid sleep 100 & sleep 100", check_seconds=0.3)
    report = await shadow.run()
    assert report.check
    assert (report.check.passed, report.check.exit_code) == (False, None)
    assert "begun" in report.check.output_tail
    assert "longer than 0.3 seconds" in report.check.output_tail
    assert marked(TASK_MARKER, shadow.task.id) == set()


async def test_the_check_sees_no_key(shadows: ShadowBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    report = await shadows.shadow(says("", call("bash", command="env")), check="env").run()
    assert report.check
    assert "KUGETSU_TASK" in report.check.output_tail
    assert "sk-canary" not in report.check.output_tail


@pytest.mark.parametrize("kind", ["authentication", "quota", "refused", "context_overflow"])
async def test_a_model_that_fails_gives_the_task_its_class(shadows: ShadowBench, kind: str) -> None:
    report = await shadows.shadow(ModelError(kind, "no way"), check="true").run()  # type: ignore[arg-type]  # literal
    assert (report.state, report.outcome and report.outcome.kind) == ("failed", kind)
    assert report.outcome
    assert "no way" in report.outcome.message
    assert report.check
    assert report.check.passed is None


@pytest.mark.parametrize(
    ("limits", "state", "kind"),
    [(Limits(wall_seconds=0.2), "paused", "wall_time"), (Limits(idle_seconds=0.2), "failed", "idle_time")],
    ids=["wall", "idle"],
)
async def test_a_run_that_takes_too_long_is_ended(shadows: ShadowBench, limits: Limits, state: str, kind: str) -> None:
    report = await shadows.shadow(lambda _request: hanging("thinking"), limits=limits).run()
    assert (report.state, report.outcome and report.outcome.kind) == (state, kind)


async def test_wall_time_goes_on_while_events_keep_coming(shadows: ShadowBench) -> None:
    async def chatter(_request: object) -> AsyncIterator[object]:
        from kugetsu.messages import TextDelta

        while True:
            await asyncio.sleep(0.02)
            yield TextDelta("on and on")

    shadow = shadows.shadow(chatter, limits=Limits(wall_seconds=0.3, idle_seconds=0.2))  # type: ignore[arg-type]  # deltas
    report = await shadow.run()
    assert report.outcome
    assert report.outcome.kind == "wall_time"


async def test_cancelling_ends_commands_and_keeps_the_record_whole(shadows: ShadowBench) -> None:
    shadow = shadows.shadow(says("", call("bash", command="touch begun; setsid sleep 99 & sleep 99")), check="true")
    running = asyncio.create_task(shadow.run())
    await until((shadows.root(shadow) / "begun").exists)
    shadow.cancel("enough")
    shadow.cancel("twice is once")
    report = await running
    assert (report.state, report.outcome and report.outcome.kind) == ("cancelled", "cancelled")
    assert report.outcome
    assert report.outcome.message == "enough"
    assert report.check
    assert report.check.passed is None
    assert marked(TASK_MARKER, shadow.task.id) == set()
    messages = (await shadows.log(shadow)).messages
    asked = [block.id for m in messages if isinstance(m, AssistantMessage) for block in m.calls]
    assert asked == [m.call_id for m in messages if isinstance(m, ToolResult)]


async def test_cancelling_during_the_check_cancels_the_task(shadows: ShadowBench) -> None:
    shadow = shadows.shadow(says("done"), check="touch checking; sleep 100")
    running = asyncio.create_task(shadow.run())
    await until((shadows.root(shadow) / "checking").exists)
    shadow.cancel()
    report = await running
    assert report.state == "cancelled"
    assert report.check
    assert report.check.passed is None


async def test_cancelling_before_the_start_starts_nothing(shadows: ShadowBench) -> None:
    shadow = shadows.shadow(says("never"))
    shadow.cancel()
    report = await shadow.run()
    assert (report.state, report.turns, report.branch) == ("cancelled", 0, "")
    assert shadows.model.requests == []


async def test_stopping_whoever_runs_the_shadow_keeps_the_record_and_obeys(shadows: ShadowBench) -> None:
    shadow = shadows.shadow(says("", call("bash", command="touch begun; sleep 99")))
    running = asyncio.create_task(shadow.run())
    await until((shadows.root(shadow) / "begun").exists)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    report = (await shadows.log(shadow)).report
    assert report.outcome
    assert (report.state, report.outcome.kind) == ("pending", "interrupted")
    assert marked(TASK_MARKER, shadow.task.id) == set()


async def test_what_the_agent_left_running_is_ended_with_the_task(shadows: ShadowBench) -> None:
    shadow = shadows.shadow(says("", call("bash", command="setsid sleep 99 & echo started")))
    report = await shadow.run()
    assert report.state == "completed"
    assert marked(TASK_MARKER, shadow.task.id) == set()


async def test_steering_and_follow_ups_reach_the_agent_also_before_it_lives(shadows: ShadowBench) -> None:
    shadow = shadows.shadow(says("one"), says("two"), says("three"))
    shadow.steer("faster")
    shadow.follow_up("and more")
    report = await shadow.run()
    assert report.summary == "two"
    heard = [m.content for m in (await shadows.log(shadow)).messages if isinstance(m, UserMessage)]
    assert heard == [(Text("do it"),), (Text("faster"),), (Text("and more"),)]


async def test_a_listener_hears_every_event_in_order(shadows: ShadowBench) -> None:
    heard: list[Event] = []

    async def listen(event: Event) -> None:
        await asyncio.sleep(0.001)
        heard.append(event)

    await shadows.shadow(says("done"), hooks=Hooks(on_event=listen)).run()
    assert [event.seq for event in heard] == list(range(1, len(heard) + 1))
    assert isinstance(heard[-1], TaskFinished)


async def test_a_listener_that_fails_is_noted_and_breaks_nothing(shadows: ShadowBench) -> None:
    async def broken(_event: Event) -> None:
        raise ValueError("listener bug")

    shadow = shadows.shadow(says("", call("ls")), hooks=Hooks(on_event=broken))
    report = await shadow.run()
    assert report.state == "completed"
    assert any(
        "listener bug" in event.message for event in (await shadows.log(shadow)).history if isinstance(event, Noted)
    )


async def test_a_listener_does_not_hide_what_goes_wrong(shadows: ShadowBench) -> None:
    async def listen(_event: Event) -> None:
        return

    shadows.workspaces = Refusing(RepositoryError("no repository"))
    with pytest.raises(RepositoryError, match="no repository"):
        await shadows.shadow(says("x"), hooks=Hooks(on_event=listen)).run()


class Refusing(DirectoryWorkspaces):
    """Makes no workspace."""

    def __init__(self, error: Exception) -> None:
        super().__init__(Path("nowhere"))
        self.error = error

    async def create(self, task: Task, *, again: bool = False) -> DirectoryWorkspace:
        del task, again
        raise self.error


class Unusable(Refusing):
    """Knows before."""

    async def verify(self, task: Task) -> None:
        del task
        raise self.error


async def test_an_unusable_repository_starts_and_records_nothing(shadows: ShadowBench) -> None:
    shadows.workspaces = Unusable(RepositoryError("not a repository"))
    with pytest.raises(RepositoryError):
        await shadows.shadow(says("x")).run()
    assert await shadows.store.reports() == []


async def test_a_repository_that_turns_out_to_be_unusable_fails_the_task_and_is_said(shadows: ShadowBench) -> None:
    shadows.workspaces = Refusing(RepositoryError("not a repository"))
    shadow = shadows.shadow(says("x"))
    with pytest.raises(RepositoryError):
        await shadow.run()
    report = (await shadows.log(shadow)).report
    assert (report.state, report.outcome and report.outcome.kind) == ("failed", "workspace")


@pytest.mark.parametrize("error", [WorkspaceError("disk full"), OSError(28, "No space left on device")])
async def test_a_machine_that_refuses_fails_the_task(shadows: ShadowBench, error: Exception) -> None:
    shadows.workspaces = Refusing(error)
    report = await shadows.shadow(says("x"), check="true").run()
    assert (report.state, report.outcome and report.outcome.kind) == ("failed", "workspace")


class Stubborn(DirectoryWorkspace):
    """Cannot deliver."""

    kept: bool | None = None

    async def deliver(self) -> None:
        raise WorkspaceError("the branch is checked out elsewhere")

    async def close(self, *, keep: bool = False, residue: bool = False) -> bool:
        type(self).kept = keep and residue
        return not keep


async def test_work_that_cannot_be_delivered_fails_the_task_and_stays(shadows: ShadowBench) -> None:
    shadows.workspaces = Makes(shadows.directory, Stubborn)
    report = await shadows.shadow(says("done")).run()
    assert (report.state, report.outcome and report.outcome.kind) == ("failed", "workspace")
    assert "the branch is checked out elsewhere" in report.notes
    assert Stubborn.kept is True


async def test_a_shadow_is_used_once_and_needs_a_prompt(shadows: ShadowBench) -> None:
    shadow = shadows.shadow(says("done"))
    await shadow.run()
    with pytest.raises(UsageError, match="has done its task"):
        await shadow.run()
    with pytest.raises(UsageError, match="no prompt"):
        await shadows.shadow(prompt=" ").run()


async def test_changes_are_part_of_the_report(shadows: ShadowBench) -> None:
    class Counting(DirectoryWorkspace):
        async def changes(self) -> Changes:
            return Changes(files_changed=2, insertions=3, deletions=1)

    shadows.workspaces = Makes(shadows.directory, Counting)
    report = await shadows.shadow(says("done")).run()
    assert (report.files_changed, report.insertions, report.deletions) == (2, 3, 1)


async def test_many_shadows_at_once_never_mix(shadows: ShadowBench) -> None:
    made: list[Shadow] = []
    for n in range(20):
        canary = f"canary-{n}"
        made.append(
            shadows.shadow(
                says("", call("write", path="mine", content=canary), call("bash", "c2", command="cat mine; ls -A")),
                says(canary),
            )
        )
    reports = await asyncio.gather(*(shadow.run() for shadow in made))
    for n, (shadow, report) in enumerate(zip(made, reports, strict=True)):
        assert report.summary == f"canary-{n}"
        told = "".join(m.text for m in (await shadows.log(shadow)).messages if isinstance(m, ToolResult))
        assert f"canary-{n}\n" in told or f"canary-{n}mine" in told
        assert not [m for m in range(20) if m != n and f"canary-{m}m" in told]


async def test_a_defect_fails_its_own_task_with_its_name_and_place(shadows: ShadowBench) -> None:
    async def broken(_request: object) -> AsyncIterator[object]:
        raise ZeroDivisionError("the defect")
        yield

    shadow = shadows.shadow(broken)  # type: ignore[arg-type]  # yields nothing
    report = await shadow.run()
    assert (report.state, report.outcome and report.outcome.kind) == ("failed", "internal")
    assert report.outcome
    assert report.outcome.message == "ZeroDivisionError: the defect"
    notes = [event.message for event in (await shadows.log(shadow)).history if isinstance(event, Noted)]
    assert any("Traceback" in note and "in broken" in note for note in notes)


@pytest.mark.parametrize("user", ["me:s3cret", "s3cret", "s3cret:x-oauth-basic", ":s3cret"])
async def test_no_password_of_an_address_is_kept_or_told(shadows: ShadowBench, user: str) -> None:
    shadow = shadows.shadow(says("done"), repo=f"https://{user}@example.org/a.git")
    report = await shadow.run()
    assert report.repo == "https://***@example.org/a.git"
    assert "s3cret" not in str(report) + str((await shadows.log(shadow)).history)
