"""The tool calls of one reply: each runs, or is refused, and each gets exactly one result."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import groupby
from typing import TypeAlias

import msgspec

from kugetsu.agent.hooks import Hooks, Refusal
from kugetsu.agent.toolbox import Toolbox, decode_arguments
from kugetsu.concurrency import being_cancelled
from kugetsu.context import copies_note
from kugetsu.errors import AnswerNeededError, ToolError
from kugetsu.events import EventSink, Noted, ToolFinished, ToolProgress, ToolStarted
from kugetsu.failpoints import reach
from kugetsu.messages import ToolCall, ToolResult
from kugetsu.protocols import Clock, CommandRoom, Tool, ToolContext, ToolKind, ToolOutput, no_limits

PREVIEW_CHARACTERS = 2_000
"""How much of a result an event shows."""

CUT_REPLY = (
    "Not executed: the reply was cut at the output limit, so this call may be incomplete. Send it again, shorter."
)
ABORTED = "Aborted before it finished. What it had done by then, if anything, is unknown."
NOT_STARTED = "Not executed: the run was aborted."
COPIED_NOTE = "Not executed: one of the texts is a note that stands for what was pruned from an older call. Write the whole text out."
INTERRUPTED = (
    "Interrupted: the machine or the program stopped while this call ran. Its outcome is unknown: it may have done all,"
    " a part or nothing of its work. Look before you repeat it."
)


Rooms: TypeAlias = Callable[[Callable[[str], None]], AbstractAsyncContextManager[CommandRoom]]
"""Gives room to one command; called with who is told why there is none yet."""


def unlimited_rooms(_on_wait: Callable[[str], None]) -> AbstractAsyncContextManager[CommandRoom]:
    """Room at once, without limits."""
    return no_limits()


class Calls:
    """Runs the calls of one agent."""

    def __init__(
        self,
        toolbox: Toolbox,
        context: ToolContext,
        *,
        hooks: Hooks,
        clock: Clock,
        publish: EventSink,
        seconds: float,
        rooms: Rooms = unlimited_rooms,
    ) -> None:
        self._toolbox = toolbox
        self._context = context
        self._hooks = hooks
        self._clock = clock
        self._publish = publish
        self._seconds = seconds
        self._rooms = rooms

    def phases(self, calls: Sequence[ToolCall]) -> list[list[ToolCall]]:
        """Group calls into neighbours that may run in parallel, see `ToolKind`."""
        phases: list[list[ToolCall]] = []
        for kind, neighbours in groupby(calls, key=self.kind):
            if kind in {"sequential", "question"}:
                phases += [[call] for call in neighbours]
            else:
                phases.append(list(neighbours))
        return phases

    def kind(self, call: ToolCall) -> ToolKind:
        """What a call does to the workspace; one of an unknown tool does nothing."""
        tool = self._toolbox.find(call.name)
        return tool.kind if tool else "read"

    async def run(self, turn: int, call: ToolCall) -> ToolResult:
        """Run one call.

        Raises:
            AnswerNeededError: it asks the user.
        """
        started = self._clock.monotonic()
        output = await self._output(turn, call)
        return self.finished(turn, call, output, self._clock.monotonic() - started)

    def finished(self, turn: int, call: ToolCall, output: ToolOutput, seconds: float = 0.0) -> ToolResult:
        """Make the result of a call, and say so."""
        result = ToolResult(call.id, call.name, output.content, output.is_error)
        text = result.text
        self._publish(
            ToolFinished(
                turn=turn,
                call_id=call.id,
                name=call.name,
                is_error=result.is_error,
                seconds=seconds,
                preview=text[:PREVIEW_CHARACTERS],
                size=len(text),
            )
        )
        return result

    async def _output(self, turn: int, call: ToolCall) -> ToolOutput:
        """Run one call from its hooks to its output. Raises nothing but a cancel and a question."""
        try:
            call = await self._before(call)
            tool = self._toolbox.get(call.name)
            arguments = decode_arguments(tool, call)
            _require_whole(call)
            self._publish(ToolStarted(turn=turn, call_id=call.id, name=call.name, arguments=call.arguments))
            output = await self._run_tool(tool, arguments, call)
        except AnswerNeededError:
            raise
        except ToolError as error:
            output = ToolOutput.of(str(error), is_error=True)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever a tool does, the model gets its result
            _obey_cancel(error)
            output = self._defect(f"the tool {call.name}", error)
        return await self._after(call, output)

    async def _run_tool(self, tool: Tool, arguments: msgspec.Struct, call: ToolCall) -> ToolOutput:
        try:
            async with asyncio.timeout(self._seconds) as limit:
                reach("call.running")
                return await tool.run(arguments, self._context_of(call, limit))
        except TimeoutError:
            if limit.expired():
                raise ToolError(f"Ended: it took longer than {self._seconds:g} seconds.") from None
            raise

    async def _before(self, call: ToolCall) -> ToolCall:
        """Let the hook look at a call; raises ToolError when it must not run."""
        if self._hooks.before_tool_call is None:
            return call
        try:
            verdict = await self._hooks.before_tool_call(call)
        except (Exception, asyncio.CancelledError) as error:
            _obey_cancel(error)
            self._publish(Noted(message=f"before_tool_call failed: {error!r}"))
            raise ToolError("Refused: the check that stands before this call failed.") from error
        if isinstance(verdict, Refusal):
            raise ToolError(f"Refused: {verdict.reason}")
        return msgspec.structs.replace(call, arguments=verdict.arguments) if verdict else call

    async def _after(self, call: ToolCall, output: ToolOutput) -> ToolOutput:
        if self._hooks.after_tool_call is None:
            return output
        try:
            return await self._hooks.after_tool_call(call, output) or output
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - a hook must not break the run
            _obey_cancel(error)
            return self._defect("after_tool_call", error)

    def _context_of(self, call: ToolCall, limit: asyncio.Timeout) -> ToolContext:
        def progress(text: str) -> None:
            self._publish(ToolProgress(call_id=call.id, text=text))

        @asynccontextmanager
        async def room() -> AsyncIterator[CommandRoom]:
            # Waiting for room is not the call's own time.
            limit.reschedule(None)
            async with self._rooms(progress) as given:
                limit.reschedule(asyncio.get_running_loop().time() + self._seconds)
                yield given

        return msgspec.structs.replace(self._context, progress=progress, room=room)

    def _defect(self, where: str, error: BaseException) -> ToolOutput:
        self._publish(Noted(message=f"{where} failed: {error!r}"))
        return ToolOutput.of(f"Internal error in {where}: {type(error).__name__}: {error}", is_error=True)


def _require_whole(call: ToolCall) -> None:
    """Raise ToolError when a call has a note where a text should be: it would be written into a file."""
    if copies_note(call.arguments):
        raise ToolError(COPIED_NOTE)


def _obey_cancel(error: BaseException) -> None:
    """Raise a cancel that somebody asked for; one that a tool or a hook let out of a future of its own is a defect."""
    if isinstance(error, asyncio.CancelledError) and being_cancelled():
        raise error
