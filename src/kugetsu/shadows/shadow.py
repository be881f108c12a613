"""A shadow: one isolated agent with its own context, worktree and budget, from its task to a report."""

import asyncio
import contextlib
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from kugetsu.agent import Hooks
from kugetsu.concurrency import finish
from kugetsu.errors import RecordError, RepositoryError, UsageError, WorkspaceError
from kugetsu.events import CheckFinished, CheckStarted, Feed, Noted, TaskFinished, TaskStarted, WorkspaceReady
from kugetsu.processes import clean_environment, end_marked
from kugetsu.protocols import Clock, Runtime, Seat, TaskLog, TaskStore, Workspace, Workspaces
from kugetsu.removal import remove_tree
from kugetsu.shadows.check import not_run, run_check
from kugetsu.shadows.delivery import Delivery, deliver
from kugetsu.shadows.listener import listening
from kugetsu.shadows.verdict import judge, state_of
from kugetsu.tasks import CheckResult, Outcome, Task, TaskReport, TaskState, redacted

T = TypeVar("T")

TASK_MARKER: Final = "KUGETSU_TASK"
"""Environment variable of every process that a shadow starts; its value is the task's id."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a shadow is put together from.

    Attributes:
        runtime: runs the loop; made for this shadow.
        scratch: a directory of this shadow, made and removed by it.
        environment: what commands may inherit from (see `clean_environment`).
        allow: names of variables that commands inherit beside the built-in list.
        commit_leftovers: commit at the end what the agent did not.
        keep_workspace: keep the worktree even when all its work is delivered.
    """

    runtime: Runtime
    workspaces: Workspaces
    store: TaskStore
    clock: Clock
    scratch: Path
    environment: Mapping[str, str]
    allow: tuple[str, ...] = ()
    hooks: Hooks = field(default_factory=Hooks)
    commit_leftovers: bool = True
    keep_workspace: bool = False


class Shadow:
    """Does one task and reports. Used once.

    Attributes:
        task: what is to be done.
        feed: what happens, as it happens.
    """

    def __init__(self, task: Task, parts: Parts) -> None:
        self.task = task
        self.feed = Feed(task.id, parts.clock.now)
        self._parts = parts
        self._scope: asyncio.Timeout | None = None
        self._cancelled = ""
        self._started: float | None = None
        self._workspace: Workspace | None = None
        self._log: TaskLog | None = None
        self._environment: dict[str, str] = {}

    def steer(self, text: str) -> None:
        """Say something to the agent as soon as its running tool batch is done."""
        self._parts.runtime.steer(text)

    def follow_up(self, text: str) -> None:
        """Say something when the agent would otherwise stop."""
        self._parts.runtime.follow_up(text)

    def cancel(self, reason: str = "cancelled by the user") -> None:
        """End the task soon; what the agent did is kept on the branch. May be called at any time, and twice."""
        self._cancelled = self._cancelled or reason or "cancelled"
        if self._scope is not None and not self._scope.expired():
            self._scope.reschedule(0)

    async def run(self, prompt: str = "") -> TaskReport:
        """Do the task: make the worktree, let the agent work, prove the result, deliver the branch.

        Args:
            prompt: the job; empty for the task's own.

        Returns:
            What was computed about it. A task that failed, was cancelled or hit a limit reports that; it does not raise.

        Raises:
            UsageError: nothing was started: no prompt, an unusable repository or base, a second use.
            RecordError: the record of the task could not be written; the work itself is kept.
        """
        self._begin(prompt)
        async with listening(self.feed, self._parts.hooks.on_event):
            try:
                return await self._do_task()
            finally:
                self.feed.close()
                if self._log:
                    self._log.close()
                await finish(remove_tree(self._parts.scratch))

    def abandon(self) -> None:
        """Write down that the run is over although it is not: for a program that ends at once. Never raises."""
        if self._log and not self.feed.closed:
            where = f"; its work is in {self._workspace.path}" if self._workspace else ""
            outcome = Outcome("interrupted", f"the program ended at once{where}")
            with contextlib.suppress(RecordError):
                self._log.save(self._report(state_of(outcome), outcome, Delivery(), None))

    def _begin(self, prompt: str) -> None:
        if self._started is not None:
            raise UsageError("this shadow has done its task", fix="make another one for the next")
        self.task = msgspec.structs.replace(self.task, prompt=prompt or self.task.prompt)
        if not self.task.prompt.strip():
            raise UsageError("the task has no prompt", fix="say what is to be done")
        self._started = self._parts.clock.monotonic()

    async def _do_task(self) -> TaskReport:
        try:
            outcome, delivery, check = await self._work()
        except UsageError:
            raise
        except asyncio.CancelledError:
            # Not `cancel`, but whoever runs this shadow is stopped: keep the work and the record, then obey.
            with contextlib.suppress(RecordError):
                await finish(self._break_off(Outcome("interrupted", "the run was stopped from outside")))
            raise
        except Exception as error:  # noqa: BLE001 - a defect ends this task alone, with its name
            self.feed.publish(Noted(message="".join(traceback.format_exception(error))))
            return await finish(self._break_off(Outcome("internal", f"{type(error).__name__}: {error}")))
        return await finish(self._conclude(outcome, delivery, check))

    async def _work(self) -> tuple[Outcome, Delivery, CheckResult | None]:
        outcome = await self._cancellable(self._live) or self._cancel_outcome()
        delivery = await finish(self._deliver())
        check = await self._cancellable(lambda: self._check(outcome, delivery))
        if self.task.check and check is None:
            check = not_run(self.task.check, f"{self._cancelled} before it had ended")
            outcome = self._cancel_outcome() if outcome.kind == "completed" else outcome
        return outcome, delivery, check

    async def _break_off(self, outcome: Outcome) -> TaskReport:
        """Keep the work and say why there is no more of it."""
        check = not_run(self.task.check, outcome.message) if self.task.check else None
        return await self._conclude(outcome, await self._deliver(), check)

    async def _cancellable(self, work: Callable[[], Awaitable[T]]) -> T | None:
        """Do work that `cancel` may end; None when it did."""
        if self._cancelled:
            return None
        try:
            async with asyncio.timeout(None) as self._scope:
                return await work()
        except TimeoutError:
            if self._scope and self._scope.expired():
                return None
            raise
        finally:
            self._scope = None

    def _cancel_outcome(self) -> Outcome:
        return Outcome("cancelled", self._cancelled)

    async def _live(self) -> Outcome:
        """Make the worktree and let the runtime work in it."""
        try:
            self._workspace = await self._parts.workspaces.create(self.task)
            tmp = self._parts.scratch / "tmp"
            await asyncio.to_thread(tmp.mkdir, parents=True, mode=0o700)
        except RepositoryError:
            raise
        except (WorkspaceError, OSError) as error:
            return Outcome("workspace", str(error))
        workspace = self._workspace
        self._environment = clean_environment(
            self._parts.environment,
            allow=self._parts.allow,
            extra={**workspace.environment, TASK_MARKER: self.task.id, "TMPDIR": str(tmp)},
        )
        log = self._open_log()
        self.feed.publish(
            WorkspaceReady(
                path=str(workspace.path), branch=workspace.branch, base=workspace.base, notes=workspace.notes
            )
        )
        return await self._parts.runtime.run(
            Seat(
                task=self.task,
                root=workspace.path,
                directory=workspace.directory,
                scratch=self._parts.scratch,
                environment=self._environment,
                facts=_facts(workspace),
                journal=log.journal,
                publish=self.feed.publish,
            )
        )

    def _open_log(self) -> TaskLog:
        """Begin the record of the task; the first time this is called, the task counts as started."""
        if self._log is None:
            self._log = self._parts.store.open(self.task)
            self.feed.attach(self._log.record)
            self.feed.publish(
                TaskStarted(
                    prompt=self.task.prompt,
                    repo=redacted(self.task.repo),
                    model=self.task.model,
                    runtime=self._parts.runtime.name,
                )
            )
            self._log.save(self._report("running", None, Delivery(), None))
        return self._log

    async def _deliver(self) -> Delivery:
        """End what the agent left running, then bring its work to the user."""
        if self._workspace is None:
            return Delivery()
        await end_marked(TASK_MARKER, self.task.id)
        return await deliver(self._workspace, self.task, commit_leftovers=self._parts.commit_leftovers)

    async def _check(self, outcome: Outcome, delivery: Delivery) -> CheckResult | None:
        """Run the task's check, unless there is nothing it could prove."""
        command, workspace = self.task.check, self._workspace
        if not command:
            return None
        if workspace is None:
            return not_run(command, outcome.message)
        if outcome.kind != "completed" and delivery.changes.empty:
            return not_run(command, "the task failed before anything was changed")
        self.feed.publish(CheckStarted(command=command))
        result = await run_check(
            command,
            cwd=workspace.path,
            environment=self._environment,
            scratch=self._parts.scratch,
            seconds=self.task.check_seconds,
        )
        await end_marked(TASK_MARKER, self.task.id)
        self.feed.publish(CheckFinished(result=result))
        return result

    async def _conclude(self, outcome: Outcome, delivery: Delivery, check: CheckResult | None) -> TaskReport:
        """Decide how the task ended, remove what is no longer needed, and write it all down."""
        outcome = judge(outcome, delivery, check)
        if self._workspace:
            # Everything was delivered before the check, so whatever the check left behind may go.
            keep = self._parts.keep_workspace or not delivery.complete
            if not await self._workspace.close(keep=keep, residue=True):
                delivery = delivery.noting(f"The worktree is kept in {self._workspace.path}.")
        log = self._open_log()
        for note in (*delivery.notes, *delivery.problems):
            self.feed.publish(Noted(message=note))
        report = self._report(state_of(outcome), outcome, delivery, check)
        self.feed.publish(TaskFinished(state=report.state, outcome=outcome, summary=report.summary))
        self.feed.close()
        log.save(report)
        return report

    def _report(
        self, state: TaskState, outcome: Outcome | None, delivery: Delivery, check: CheckResult | None
    ) -> TaskReport:
        tally, workspace, notes = self._parts.runtime.tally, self._workspace, self.task.notices
        report = msgspec.structs.replace(
            TaskReport.of(self.task).with_changes(delivery.changes),
            state=state,
            outcome=outcome,
            summary=tally.last_text.strip(),
            check=check,
            turns=tally.turns,
            tool_calls=tally.tool_calls,
            usage=tally.usage.rounded,
            seconds=round(self._parts.clock.monotonic() - (self._started or 0.0), 3),
            session=self._log.journal.location if self._log else "",
        )
        if workspace:
            notes += workspace.notes
            report = msgspec.structs.replace(report, base=workspace.base, branch=workspace.branch)
        return msgspec.structs.replace(report, notes=(*notes, *delivery.notes, *delivery.problems))


def _facts(workspace: Workspace) -> tuple[str, ...]:
    """What the agent is told about where it works."""
    facts = [
        f"The current directory is {workspace.path}, a git worktree of your own.",
        f"You are on the branch {workspace.branch}, which starts at commit {workspace.base[:12]}.",
        *workspace.notes,
    ]
    if workspace.directory != workspace.path:
        facts.insert(1, f"The task is about {workspace.directory.relative_to(workspace.path)} in it.")
    return tuple(facts)
