"""The tool calls of one reply: each runs, or is refused, and each gets exactly one result."""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import groupby

import msgspec

from kugetsu.agent.hooks import Hooks, Refusal
from kugetsu.agent.toolbox import Toolbox, decode_arguments
from kugetsu.concurrency import being_cancelled
from kugetsu.errors import ToolError
from kugetsu.events import EventSink, Noted, ToolFinished, ToolProgress, ToolStarted
from kugetsu.messages import ToolCall, ToolResult
from kugetsu.protocols import Clock, Tool, ToolContext, ToolKind, ToolOutput

PREVIEW_CHARACTERS = 2_000
"""How much of a result an event shows."""

CUT_REPLY = (
    "Not executed: the reply was cut at the output limit, so this call may be incomplete. Send it again, shorter."
)
ABORTED = "Aborted before it finished. What it had done by then, if anything, is unknown."
NOT_STARTED = "Not executed: the run was aborted."


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
    ) -> None:
        self._toolbox = toolbox
        self._context = context
        self._hooks = hooks
        self._clock = clock
        self._publish = publish
        self._seconds = seconds

    def refuse(self, turn: int, calls: Sequence[ToolCall], reason: str) -> list[ToolResult]:
        """Answer calls that must not run."""
        return [self._finish(turn, call, ToolOutput.of(reason, is_error=True), 0.0) for call in calls]

    async def run(self, turn: int, calls: Sequence[ToolCall], results: list[ToolResult]) -> None:
        """Run calls, neighbours of one kind in parallel (see `ToolKind`), and append their results in source order.

        Also when it is cancelled `results` ends with exactly one result for each call.
        """
        outputs: dict[int, ToolResult] = {}
        try:
            for phase in self._phases(calls):
                await self._run_phase(turn, [(place, calls[place]) for place in phase], outputs)
        finally:
            for place, call in enumerate(calls):
                if place not in outputs:
                    outputs[place] = self._finish(turn, call, ToolOutput.of(NOT_STARTED, is_error=True), 0.0)
            results.extend(outputs[place] for place in range(len(calls)))

    def _phases(self, calls: Sequence[ToolCall]) -> Iterator[list[int]]:
        """Group the calls' places into neighbours that may run in parallel."""
        for kind, places in groupby(range(len(calls)), key=lambda place: self._kind(calls[place])):
            if kind == "sequential":
                yield from ([place] for place in places)
            else:
                yield list(places)

    def _kind(self, call: ToolCall) -> ToolKind:
        tool = self._toolbox.find(call.name)
        return tool.kind if tool else "read"

    async def _run_phase(
        self, turn: int, phase: Sequence[tuple[int, ToolCall]], outputs: dict[int, ToolResult]
    ) -> None:
        async def run_one(place: int, call: ToolCall) -> None:
            started = self._clock.monotonic()
            output = ToolOutput.of(ABORTED, is_error=True)
            try:
                output = await self._output(turn, call)
            finally:
                outputs[place] = self._finish(turn, call, output, self._clock.monotonic() - started)

        if len(phase) == 1:
            await run_one(*phase[0])
            return
        async with asyncio.TaskGroup() as group:
            for place, call in phase:
                group.create_task(run_one(place, call))

    async def _output(self, turn: int, call: ToolCall) -> ToolOutput:
        """Run one call from its hooks to its output. Raises nothing but a cancel."""
        try:
            call = await self._before(call)
            tool = self._toolbox.get(call.name)
            arguments = decode_arguments(tool, call)
            self._publish(ToolStarted(turn=turn, call_id=call.id, name=call.name, arguments=call.arguments))
            output = await self._run_tool(tool, arguments, call)
        except ToolError as error:
            output = ToolOutput.of(str(error), is_error=True)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever a tool does, the model gets its result
            _obey_cancel(error)
            output = self._defect(f"the tool {call.name}", error)
        return await self._after(call, output)

    async def _run_tool(self, tool: Tool, arguments: msgspec.Struct, call: ToolCall) -> ToolOutput:
        try:
            async with asyncio.timeout(self._seconds) as limit:
                return await tool.run(arguments, self._context_of(call))
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

    def _context_of(self, call: ToolCall) -> ToolContext:
        def progress(text: str) -> None:
            self._publish(ToolProgress(call_id=call.id, text=text))

        return msgspec.structs.replace(self._context, progress=progress)

    def _defect(self, where: str, error: BaseException) -> ToolOutput:
        self._publish(Noted(message=f"{where} failed: {error!r}"))
        return ToolOutput.of(f"Internal error in {where}: {type(error).__name__}: {error}", is_error=True)

    def _finish(self, turn: int, call: ToolCall, output: ToolOutput, seconds: float) -> ToolResult:
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


def _obey_cancel(error: BaseException) -> None:
    """Raise a cancel that somebody asked for; one that a tool or a hook let out of a future of its own is a defect."""
    if isinstance(error, asyncio.CancelledError) and being_cancelled():
        raise error
