"""One turn: a reply, its calls and their results, each written down before anything depends on it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from kugetsu.agent.calls import ABORTED, CUT_REPLY, INTERRUPTED, NOT_STARTED, Calls
from kugetsu.agent.inbox import Inbox
from kugetsu.concurrency import finish, first_error
from kugetsu.errors import AnswerNeededError, WorkspaceError
from kugetsu.events import EventSink, QuestionAsked, TurnFinished
from kugetsu.failpoints import reach
from kugetsu.messages import AssistantMessage, ToolCall, ToolResult
from kugetsu.protocols import Journal, ToolOutput
from kugetsu.sessions import Checkpoint, Entry, Finished, Replied, Session, Started

_log = logging.getLogger(__name__)

TakeSnapshot: TypeAlias = Callable[[int], Awaitable[str]]
"""Keeps the worktree as it is after a turn; gives the id of what it kept."""

_REPEATABLE: Final = frozenset({"read", "question"})
"""Kinds of calls that may run again when a crash cut them."""


class Turns:
    """Brings turns to their end. What it has committed is what `session` says, at every await.

    A reply is committed before its calls start, a call before it runs, its result before the model sees it. What can be
    committed together is: most turns take two commits.
    """

    def __init__(
        self,
        session: Session,
        calls: Calls,
        *,
        journal: Journal,
        snapshot: TakeSnapshot,
        publish: EventSink,
        inbox: Inbox,
    ) -> None:
        self._session = session
        self._calls = calls
        self._journal = journal
        self._snapshot = snapshot
        self._publish = publish
        self._inbox = inbox
        self._resuming = False

    async def commit(self, *entries: Entry, taken: Sequence[int] = ()) -> None:
        """Write entries down, then count them. Done to its end, also when it is cancelled meanwhile."""
        if entries:
            await finish(self._write(entries, taken))

    async def take(self, reply: AssistantMessage) -> None:
        """Open a turn with a reply, and bring it to its end.

        Raises:
            AnswerNeededError: a call asks the user; the turn stays open.
            LeaseLostError, RecordError: it could not be written.
            WorkspaceError: the worktree could not be kept; the turn stays open.
        """
        turn = self._session.turn + 1
        opening = Replied(turn, reply)
        if reply.stop == "length":
            await self._close(turn, [opening, *self._refused(turn, reply.calls, CUT_REPLY)], wrote=False)
        else:
            await self._run_calls(turn, reply.calls, [opening])

    async def resume(self) -> None:
        """Bring a turn to its end that an earlier run left open: what was started is not run again, unless it may be.

        Raises: as for `take`.
        """
        left = self._session.open
        if left is None:
            return
        if left.reply.stop == "length":
            await self._close(left.turn, self._refused(left.turn, left.unanswered, CUT_REPLY), wrote=False)
        else:
            self._resuming = True
            await self._run_calls(left.turn, left.unanswered, [])
            self._resuming = False

    async def break_off(self, cut: AssistantMessage | None) -> None:
        """Close the turn of a run that was cut: every call gets its result, and nothing more is run.

        Args:
            cut: what had arrived of a reply that never became whole; None when none was under way.
        """
        session = self._session
        if cut is not None and session.open is None and cut.content:
            turn = session.turn + 1
            await self.commit(Replied(turn, cut), *self._refused(turn, cut.calls, NOT_STARTED))
        if session.open is None:
            return
        turn, started = session.open.turn, session.open.started
        await self.commit(
            *(
                self._refused(turn, [call], ABORTED if call.id in started else NOT_STARTED)[0]
                for call in session.open.unanswered
            )
        )
        snapshot = session.snapshot
        if started:
            try:
                snapshot = await finish(self._take_snapshot(turn))
            except WorkspaceError as error:  # the work itself is looked after by whoever delivers it
                _log.warning("no snapshot after turn %d: %s", turn, error)
        await self.commit(Checkpoint(turn, snapshot))

    async def _run_calls(self, turn: int, calls: Sequence[ToolCall], pending: list[Entry]) -> None:
        """Run calls, neighbours of one kind in parallel, and close the turn.

        Args:
            turn: the turn.
            calls: those without a result.
            pending: what is not committed yet.
        """
        started = set(self._session.open.started) if self._session.open else set()
        wrote = bool(started)
        for phase in self._calls.phases(calls):
            kind = self._calls.kind(phase[0])
            wrote = wrote or kind not in _REPEATABLE
            lost = [call for call in phase if call.id in started and kind not in _REPEATABLE]
            pending += self._refused(turn, lost, INTERRUPTED)
            pending = await self._run_phase(turn, [call for call in phase if call not in lost], started, pending)
        await self._close(turn, pending, wrote=wrote)

    async def _run_phase(
        self, turn: int, phase: Sequence[ToolCall], started: set[str], pending: list[Entry]
    ) -> list[Entry]:
        """Run calls in parallel; returns what is not committed yet."""
        if not phase:
            return pending
        if new := tuple(call.id for call in phase if call.id not in started):
            pending = [*pending, Started(turn, new)]
        await self.commit(*pending)
        reach("call.started")
        if len(phase) == 1:
            return [Finished(turn, result)] if (result := await self._run(turn, phase[0])) else []
        with first_error():
            async with asyncio.TaskGroup() as group:
                for call in phase:
                    group.create_task(self._run_and_commit(turn, call))
        return []

    async def _run_and_commit(self, turn: int, call: ToolCall) -> None:
        if result := await self._run(turn, call):
            await self.commit(Finished(turn, result))

    async def _run(self, turn: int, call: ToolCall) -> ToolResult | None:
        """Run a call; None when its result is committed already."""
        try:
            result = await self._calls.run(turn, call)
        except AnswerNeededError as asked:
            # An answer is to the question that was open when it came; a new question has none yet.
            note = self._inbox.next_answer() if self._resuming else None
            if note is None:
                self._publish(QuestionAsked(turn=turn, call_id=call.id, question=asked.question))
                raise
            result = self._calls.finished(turn, call, ToolOutput.of(note.text))
            await self.commit(Finished(turn, result), taken=(note.id,))
            return None
        reach("call.done")
        return result

    async def _close(self, turn: int, pending: list[Entry], *, wrote: bool) -> None:
        """Close the turn, with a snapshot of the worktree when a call could have written to it."""
        snapshot = self._session.snapshot
        if wrote:
            await self.commit(*pending)
            reach("call.committed")
            pending = []
            snapshot = await self._take_snapshot(turn)
        used = self._session.tally.usage
        for entry in pending:
            used = used + entry.message.usage if isinstance(entry, Replied) else used
        self._publish(TurnFinished(turn=turn, usage=used))
        await self.commit(*pending, Checkpoint(turn, snapshot))
        reach("checkpoint.committed")

    async def _take_snapshot(self, turn: int) -> str:
        return await self._snapshot(turn)

    def _refused(self, turn: int, calls: Sequence[ToolCall], reason: str) -> list[Entry]:
        return [
            Finished(turn, self._calls.finished(turn, call, ToolOutput.of(reason, is_error=True))) for call in calls
        ]

    async def _write(self, entries: Sequence[Entry], taken: Sequence[int]) -> None:
        await self._journal.append(*entries, taken=taken)
        for entry in entries:
            self._session.apply(entry)
        if isinstance(entries[0], Replied):
            reach("reply.committed")
