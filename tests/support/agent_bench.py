import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from kugetsu.agent import Agent, Hooks, Inbox, RetryPolicy, Toolbox
from kugetsu.agent.turns import TakeSnapshot
from kugetsu.errors import AnswerNeededError, ToolError
from kugetsu.events import Event
from kugetsu.messages import Delta, TextDelta, ToolCall, ToolResult
from kugetsu.protocols import FileLocks, Tool, ToolContext, ToolOutput
from kugetsu.sessions import Session
from kugetsu.tasks import Limits
from kugetsu.testing import CannedModel, CannedReply, FunctionTool, MemoryJournal


class Echo(msgspec.Struct, forbid_unknown_fields=True):
    text: str
    seconds: float = 0.0


class Bench:
    """An agent with canned replies, and everything it said and did."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.events: list[Event] = []
        self.journal = MemoryJournal()
        self.spans: list[tuple[str, str]] = []
        self.model = CannedModel()
        self.snapshots: list[int] = []
        self.more: list[Tool] = []

    async def _echo(self, arguments: Echo, _context: ToolContext) -> ToolOutput:
        self.spans.append(("start", arguments.text))
        try:
            await asyncio.sleep(arguments.seconds)
        finally:
            self.spans.append(("end", arguments.text))
        return ToolOutput.of(f"echo {arguments.text}")

    async def _fail(self, arguments: Echo, _context: ToolContext) -> ToolOutput:
        raise ToolError(f"cannot {arguments.text}")

    async def _crash(self, arguments: Echo, _context: ToolContext) -> ToolOutput:
        raise RuntimeError(arguments.text)

    async def _hang(self, _arguments: Echo, _context: ToolContext) -> ToolOutput:
        self.spans.append(("start", "hang"))
        await asyncio.Event().wait()
        raise AssertionError

    async def _snapshot(self, turn: int) -> str:
        self.snapshots.append(turn)
        return f"snapshot-{turn}"

    async def _ask(self, arguments: Echo, _context: ToolContext) -> ToolOutput:
        raise AnswerNeededError(arguments.text)

    def tools(self) -> list[Tool]:
        return [
            FunctionTool("look", Echo, self._echo, kind="read"),
            FunctionTool("change", Echo, self._echo, kind="write"),
            FunctionTool("command", Echo, self._echo, kind="run"),
            FunctionTool("ask", Echo, self._ask, kind="question"),
            FunctionTool("alone", Echo, self._echo, kind="sequential"),
            FunctionTool("fail", Echo, self._fail),
            FunctionTool("crash", Echo, self._crash),
            FunctionTool("hang", Echo, self._hang),
            *self.more,
        ]

    def agent(
        self,
        *replies: CannedReply,
        hooks: Hooks | None = None,
        limits: Limits | None = None,
        call_seconds: float = 30.0,
        retry: RetryPolicy | None = None,
        inbox: Inbox | None = None,
        snapshot: TakeSnapshot | None = None,
    ) -> Agent:
        """An agent that goes on with what the journal has."""
        self.model = CannedModel(*replies)
        context = ToolContext(root=self.root, scratch=self.root, environment={}, locks=FileLocks())
        return Agent(
            self.model,
            Toolbox(self.tools()),
            context,
            system="be good",
            journal=self.journal,
            session=Session(self.journal.entries),
            inbox=inbox,
            snapshot=snapshot or self._snapshot,
            publish=self.events.append,
            hooks=hooks,
            limits=limits,
            retry=retry or RetryPolicy(base_seconds=0.001),
            call_seconds=call_seconds,
        )

    @property
    def results(self) -> list[ToolResult]:
        return [message for message in self.journal.messages if isinstance(message, ToolResult)]


def call(name: str, call_id: str = "c1", **arguments: Any) -> ToolCall:
    return ToolCall(call_id, name, msgspec.json.encode(arguments).decode())


async def hanging(text: str) -> AsyncIterator[Delta]:
    yield TextDelta(text)
    await asyncio.Event().wait()
