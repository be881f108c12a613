"""A shadow: one isolated agent with its own context, worktree and budget, from its task to a report."""

import asyncio
import logging
import traceback
from collections.abc import Sequence
from typing import Final

import msgspec

from kugetsu.concurrency import finish
from kugetsu.errors import KugetsuError, LeaseLostError, RecordError, RepositoryError, UsageError, WorkspaceError
from kugetsu.events import (
    CheckFinished,
    CheckStarted,
    Feed,
    Noted,
    TaskFinished,
    TaskHalted,
    TaskResumed,
    TaskStarted,
    WorkspaceReady,
)
from kugetsu.failpoints import reach
from kugetsu.messages import Usage
from kugetsu.processes import end_marked, moment
from kugetsu.protocols import Claim, Seat, Workspace
from kugetsu.removal import remove_tree
from kugetsu.sessions import Entry, Session
from kugetsu.shadows.check import not_run, run_check
from kugetsu.shadows.cutting import Cut
from kugetsu.shadows.delivery import Delivery, deliver, shortened
from kugetsu.shadows.fate import fate_of
from kugetsu.shadows.listener import listening
from kugetsu.shadows.memory import SessionMemory
from kugetsu.shadows.parts import Parts
from kugetsu.shadows.purse import Purse
from kugetsu.shadows.reporting import report_of
from kugetsu.shadows.residence import TASK_MARKER, Residence, facts_of, find_workspace, settle_in
from kugetsu.shadows.run_log import RunLog
from kugetsu.shadows.verdict import HALTS, judge, retold, state_of
from kugetsu.tasks import CheckResult, Ending, Fate, Note, Outcome, Task, TaskReport, Wanted, redacted

_log = logging.getLogger(__name__)

PATIENCE_SECONDS: Final = 0.2
"""How long an event waits for a write that takes it along, before it is written by itself."""


class Shadow:
    """Does one task, or goes on with it, and reports. Used once.

    Args:
        task: what is to be done.
        parts: what the shadow is put together from.
        claim: the task as its worker got it; None for a new task, which is submitted when the shadow runs.
        beginning: what the session of a new task begins with, for a fork.

    Attributes:
        task: what is to be done.
        feed: what happens, as it happens.
    """

    def __init__(
        self, task: Task, parts: Parts, claim: Claim | None = None, *, beginning: Sequence[Entry] = ()
    ) -> None:
        self.task = task
        self.feed = Feed(task.id, parts.clock.now)
        self._parts = parts
        self._claim = claim
        self._beginning = beginning
        self._cut = Cut()
        self._winding_down = ""
        self._pause_may_lapse = False
        self._used = False
        self._started = self._claimed_at = 0.0
        self._log: RunLog | None = None
        self._session = Session()
        self._residence: Residence | None = None
        self._refused: UsageError | None = None

    @property
    def generation(self) -> int:
        """The fencing token of its run; 0 before there is one."""
        return self._claim.lease.generation if self._claim else 0

    def steer(self, text: str) -> None:
        """Say something to the agent as soon as its running tool batch is done."""
        self._parts.runtime.steer(text)

    def follow_up(self, text: str) -> None:
        """Say something when the agent would otherwise stop."""
        self._parts.runtime.follow_up(text)

    def hear(self, notes: Sequence[Note]) -> None:
        """Take what users said through the store; each note once, however often it is given."""
        self._parts.runtime.hear(notes)

    def pause(self, *, if_still_wanted: bool = False) -> None:
        """Let the task rest as soon as the agent's turn is done. May be called at any time, and twice.

        Args:
            if_still_wanted: whether it goes on all the same when the user has thought better of it by then.
        """
        self._pause_may_lapse = if_still_wanted
        self._parts.runtime.pause()

    def cancel(self, reason: str = "cancelled by the user") -> None:
        """End the task soon; what the agent did is kept on the branch. May be called at any time, and twice."""
        self._cut.make("cancelled", reason or "cancelled")

    def wind_down(self, reason: str = "the program stops") -> None:
        """End this run as soon as the agent's turn is done; the task goes on in a later one. May be called twice."""
        if not self._winding_down and self._log:
            self.feed.publish(Noted(message=f"{reason}: the agent ends its turn first"))
        self._winding_down = self._winding_down or reason
        self._parts.runtime.pause()

    def interrupt(self, reason: str = "the program stopped") -> None:
        """End this run soon; the task goes on in a later one. May be called at any time, and twice."""
        self._cut.make("interrupted", reason)

    def lose(self, lost: LeaseLostError) -> None:
        """End this run at once and write nothing: somebody else may have the task. May be called at any time, and twice."""
        self._cut.lose(lost)

    @property
    def has_waiting_events(self) -> bool:
        """Whether events wait for longer than they should to be written."""
        return self._log is not None and self._log.oldest_waiting < self._parts.clock.now() - PATIENCE_SECONDS

    async def flush(self) -> None:
        """Write the events that wait. Raises nothing: what cannot be written now is written later, or stops the run then."""
        if self._log and not self.feed.closed:
            try:
                await self._log.flush()
            except KugetsuError as error:
                _log.debug("events wait to be written: %s", error)

    async def run(self, prompt: str = "") -> TaskReport:
        """Do the task: make the worktree, let the agent work, prove the result, deliver the branch.

        Args:
            prompt: the job; empty for the task's own.

        Returns:
            What was computed about it. A task that failed, was cancelled or hit a limit reports that, and so does one that
            waits for an answer, was paused or interrupted; it does not raise.

        Raises:
            UsageError: nothing was done: no prompt, an unusable repository or base, a second use.
            RecordError: the record of the task could not be written; the work itself is kept.
            LeaseLostError: somebody else may have the task; this run stopped at once.
        """
        claim = await self._begin(prompt)
        async with listening(self.feed, self._parts.hooks.on_event):
            try:
                report = await self._do_task(claim)
            finally:
                self.feed.close()
        if self._refused:
            raise self._refused
        return report

    async def _begin(self, prompt: str) -> Claim:
        if self._used:
            raise UsageError("this shadow has done its task", fix="make another one for the next")
        self.task = msgspec.structs.replace(self.task, prompt=prompt or self.task.prompt)
        if not self.task.prompt.strip():
            raise UsageError("the task has no prompt", fix="say what is to be done")
        self._used = True
        self._started = self._parts.clock.monotonic()
        claim = self._claim or await self._submit()
        self._claim, self._claimed_at = claim, moment()
        self._log = RunLog(self._parts.store, claim, self._parts.clock)
        self.feed.seq = claim.last_event
        self.feed.attach(self._log.record)
        self._parts.runtime.hear([retold(note, claim.record.report) for note in claim.notes])
        return claim

    async def _submit(self) -> Claim:
        """Hand in a task that is not in the store yet, for this shadow to do at once."""
        await self._parts.workspaces.verify(self.task)
        worker = await self._parts.worker()
        submitted = await finish(self._parts.store.submit(self.task, worker=worker.id, session=self._beginning))
        if submitted.claim is None:
            raise UsageError(f"the task {self.task.id} was submitted before")
        return submitted.claim

    async def _do_task(self, claim: Claim) -> TaskReport:
        try:
            return await self._work(claim)
        except asyncio.CancelledError:
            # Whoever runs this shadow is stopped: the task goes on later. Write that down, then obey.
            if not self.feed.closed:
                try:
                    await finish(self._halt(Outcome("interrupted", "the run was stopped from outside")))
                except (RecordError, LeaseLostError) as error:
                    _log.warning("the interrupt of task %s could not be written down: %s", self.task.id, error)
            raise
        except (UsageError, LeaseLostError, RecordError):
            raise
        except Exception as error:  # noqa: BLE001 - a defect ends this task alone, with its name
            self.feed.publish(Noted(message="".join(traceback.format_exception(error))))
            outcome = Outcome("internal", f"{type(error).__name__}: {error}")
            check = not_run(self.task.check, outcome.message) if self.task.check else None
            return await finish(self._conclude(outcome, await self._deliver(), check))

    async def _work(self, claim: Claim) -> TaskReport:
        if claim.record.generation > 1 or self.task.forked_from:
            self._session = Session(line.entry for line in await self._parts.store.session(self.task.id))
        self._announce()
        if claim.record.wanted == "cancel":
            self.cancel(claim.record.reason)
        outcome = await self._cut.within(self._live) or self._cut.outcome
        if outcome.kind == "paused" and self._winding_down:
            outcome = Outcome("interrupted", self._winding_down)
        elif outcome.kind == "paused" and self._pause_may_lapse and not await self._is_wanted("pause"):
            outcome = Outcome("interrupted", "a pause was withdrawn when it had begun")
        fate = await fate_of(claim.record, outcome, self._parts)
        if fate.again_in is not None or outcome.kind in HALTS:
            return await finish(self._halt(outcome, fate))
        reach("agent.finished")
        await finish(self._close_turn())
        delivery = await finish(self._deliver())
        if (undelivered := judge(outcome, delivery, None)) != outcome:
            fate = await fate_of(claim.record, undelivered, self._parts)
            if fate.again_in is not None:
                return await finish(self._halt(undelivered, fate))
        check = await self._cut.within(lambda: self._check(outcome, delivery))
        reach("check.done")
        if self.task.check and check is None:
            if self._cut.kind == "interrupted":
                return await finish(self._halt(self._cut.outcome))
            check = not_run(self.task.check, f"{self._cut.reason} before it had ended")
            outcome = self._cut.outcome if outcome.kind == "completed" else outcome
        return await finish(self._conclude(outcome, delivery, check))

    async def _is_wanted(self, wanted: Wanted) -> bool:
        return (await self._parts.store.find(self.task.id)).wanted == wanted

    async def _end_commands(self) -> None:
        """Whatever the agent's commands left running ends, however it hides."""
        if not await self._parts.commands.end(self.task.id):
            await end_marked(TASK_MARKER, self.task.id)

    async def _close_turn(self) -> None:
        await self._keep_lease()
        await self._parts.runtime.close_turn()

    async def _keep_lease(self) -> None:
        """Make sure that the task is still ours, before anything is done that others would see.

        Raises:
            LeaseLostError: it is not.
        """
        self._cut.check()
        await self._its_log.check()

    async def _live(self) -> Outcome:
        """Move into the worktree and let the runtime work in it."""
        try:
            home = await self._move_in()
        except RepositoryError as error:
            self._refused = error
            return Outcome("workspace", str(error))
        except (WorkspaceError, OSError) as error:
            return Outcome("workspace", str(error))
        workspace, log = home.workspace, self._its_log
        self.feed.publish(
            WorkspaceReady(
                path=str(workspace.path), branch=workspace.branch, base=workspace.base, notes=workspace.notes
            )
        )
        return await self._parts.runtime.run(
            Seat(
                task=self.task,
                session=self._session,
                root=workspace.path,
                directory=workspace.directory,
                scratch=home.scratch,
                environment=home.environment,
                facts=facts_of(workspace),
                journal=log,
                snapshot=workspace.snapshot,
                publish=self.feed.publish,
                reserve=Purse(log, self._parts.budgets).reserve,
                commands=self._parts.commands,
                memory=SessionMemory(self._parts.store, self.task.id),
            )
        )

    async def _move_in(self) -> Residence:
        parts = self._parts
        workspace = await find_workspace(
            self._claimed, self._session, parts.workspaces, parts.store, parts.commands, since=self._claimed_at
        )
        return await finish(self._settle_in(workspace))

    async def _settle_in(self, workspace: Workspace) -> Residence:
        """To its end once the worktree is there, so that whoever ends the run finds it."""
        self._residence = await settle_in(
            self._claimed,
            self._session,
            self._its_log,
            workspace,
            scratch=self._parts.scratch,
            environment=self._parts.environment,
            allow=self._parts.allow,
        )
        return self._residence

    def _announce(self) -> None:
        record = self._claimed.record
        if record.runs <= 1:
            self.feed.publish(
                TaskStarted(
                    prompt=self.task.prompt,
                    repo=redacted(self.task.repo),
                    model=self.task.model,
                    runtime=self._parts.runtime.name,
                )
            )
        else:
            reason = record.outcome.message if record.outcome else ""
            usage = self._session.tally.usage.rounded
            self.feed.publish(TaskResumed(run=record.runs, turn=self._session.turn, reason=reason, usage=usage))

    async def _deliver(self) -> Delivery:
        """End what the agent left running, then bring its work to the user."""
        if self._residence is None and self._claimed.record.place:
            try:
                await self._move_in()
            except (RepositoryError, WorkspaceError, OSError) as error:
                where = f"The work is in {self._claimed.record.place.path} and was not brought to the branch."
                return Delivery(problems=(str(error), where))
        if self._residence is None:
            return Delivery()
        await self._keep_lease()
        await self._end_commands()
        return await deliver(
            self._residence.workspace,
            self.task,
            self._its_log,
            turn=self._session.turn,
            commit_leftovers=self.task.commit_leftovers,
        )

    async def _check(self, outcome: Outcome, delivery: Delivery) -> CheckResult | None:
        """Run the task's check, unless there is nothing it could prove."""
        command, home = self.task.check, self._residence
        if not command:
            return None
        if home is None:
            return not_run(command, outcome.message)
        if outcome.kind != "completed" and delivery.changes.empty:
            return not_run(command, "the task failed before anything was changed")
        self.feed.publish(CheckStarted(command=command))
        result = await run_check(
            command,
            cwd=home.workspace.path,
            environment=home.environment,
            scratch=home.scratch,
            seconds=self.task.check_seconds,
            commands=self._parts.commands,
            task=self.task.id,
        )
        await self._keep_lease()
        await self._end_commands()
        self.feed.publish(CheckFinished(result=result))
        return result

    async def _halt(self, outcome: Outcome, fate: Fate | None = None) -> TaskReport:
        """End the run, but not the task: its worktree and its session stay as they are."""
        self._cut.check()
        await self._end_commands()
        fate = fate or Fate(self._claimed.record.attempts)
        state = HALTS.get(outcome.kind, "waiting" if fate.parked else "pending")
        available_at = self._parts.clock.now() + fate.again_in if fate.again_in is not None else 0.0
        self.feed.publish(TaskHalted(state=state, outcome=outcome, available_at=available_at))
        ending = Ending(
            state=state,
            outcome=outcome,
            report=self._report(None, None),
            available_at=available_at,
            attempts=fate.attempts,
            question=outcome.message if outcome.kind == "question" else "",
        )
        return await self._settle(ending, self._parts.runtime.unbooked)

    async def _conclude(self, outcome: Outcome, delivery: Delivery, check: CheckResult | None) -> TaskReport:
        """Decide how the task ended, remove what is no longer needed, and write it all down."""
        await self._keep_lease()
        outcome = judge(outcome, delivery, check)
        for text in self._parts.runtime.unheard:
            delivery = delivery.noting(f'It was told too late, and did not hear: "{shortened(text)}"')
        if self._residence:
            # Everything was delivered before the check, so whatever the check left behind may go.
            workspace, keep = self._residence.workspace, self.task.keep_workspace or not delivery.complete
            reach("close.before")
            if not await workspace.close(keep=keep, residue=True):
                delivery = delivery.noting(f"The worktree is kept in {workspace.path}.")
            reach("close.after")
        for note in (*delivery.notes, *delivery.problems):
            self.feed.publish(Noted(message=note))
        report = self._report(delivery, check)
        state = state_of(outcome)
        self.feed.publish(TaskFinished(state=state, outcome=outcome, summary=report.summary))
        attempts = self._claimed.record.attempts + (state == "failed")
        await remove_tree(self._parts.scratch)
        return await self._settle(Ending(state=state, outcome=outcome, report=report, attempts=attempts))

    async def _settle(self, ending: Ending, unbooked: Usage | None = None) -> TaskReport:
        self.feed.close()
        return (await self._its_log.settle(ending, unbooked)).shown

    def _report(self, delivery: Delivery | None, check: CheckResult | None) -> TaskReport:
        seconds = self._parts.clock.monotonic() - self._started
        workspace = self._residence.workspace if self._residence else None
        return report_of(self._claimed.record, self._session, workspace, delivery, check, seconds=seconds)

    @property
    def _claimed(self) -> Claim:
        """The task as its worker got it. There is one from the beginning of a run."""
        if self._claim is None:
            raise UsageError("this shadow has not begun")
        return self._claim

    @property
    def _its_log(self) -> RunLog:
        """What this run writes down. There is one from the beginning of a run."""
        if self._log is None:
            raise UsageError("this shadow has not begun")
        return self._log
