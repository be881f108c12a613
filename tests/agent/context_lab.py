"""A model with a window, and an agent whose tool gives long outputs."""

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from kugetsu.agent import Agent, RetryPolicy, Toolbox
from kugetsu.config import CompactionSettings, ContextSettings
from kugetsu.context import SUMMARY_SYSTEM, estimate, estimate_text
from kugetsu.context.meter import Sizes
from kugetsu.errors import ModelError
from kugetsu.events import Event
from kugetsu.messages import Delta, Message, ReplyEnd, TextDelta, ToolCallDelta, Usage
from kugetsu.protocols import FileLocks, Journal, ModelInfo, ModelRequest, Tool, ToolContext, ToolOutput
from kugetsu.sessions import Entry, Session
from kugetsu.tasks import Limits
from kugetsu.testing import CannedModel, CannedReply, FunctionTool, MemoryJournal

SOURCE: Final = (Path(__file__).parents[1] / "context" / "samples" / "agent_python.txt").read_text(encoding="utf-8")
UNLIMITED: Final = Limits(turns=0, tokens=0, usd=0, wall_seconds=0, idle_seconds=0)
SYSTEM: Final = "You are a software engineer who works alone. " * 100


class Part(msgspec.Struct):
    number: int


async def output(arguments: Part, _context: ToolContext) -> ToolOutput:
    """20 KB of code, another beginning each time."""
    start = arguments.number * 37 % 5_000
    return ToolOutput.of(f"part {arguments.number}\n{(SOURCE * 5)[start : start + 20_000]}")


class WindowedModel:
    """Calls the tool so many times, then is done. Counts tokens in its own way, and refuses what does not fit.

    Args:
        turns: how often it calls it.
        window: tokens.
        believed: what others think that the window is.
        factor: its tokens for each that is estimated.
        says: of a prompt that does not fit.
        talk: characters of code that it says in each turn: nothing that stubs could stand for.
        strict: whether the longest reply that a request names has to fit too.

    Attributes:
        prompts: tokens of each request.
        refused: how many did not fit.
        summaries: requests for notes.
        notes: what it answers to these, one after the other; then notes of its own.
        asks: what it asks the user, by turn.
    """

    name = "windowed/model"

    def __init__(
        self,
        turns: int,
        *,
        window: int,
        believed: int = 0,
        factor: float = 1.0,
        says: str = "",
        talk: int = 0,
        strict: bool = False,
    ) -> None:
        self.info = ModelInfo(believed or window, 16_000, priced=True)
        self.notes: list[CannedReply] = []
        self.asks: dict[int, str] = {}
        self._talk = talk
        self._strict = strict
        self.prompts: list[int] = []
        self.sent: list[tuple[Message, ...]] = []
        self.summaries: list[ModelRequest] = []
        self.refused = 0
        self.keep = False
        self._sizes = Sizes()
        self._turns = turns
        self._window = window
        self._factor = factor
        self._says = says

    def count(self, messages: Sequence[Message]) -> int:
        return int((estimate_text(SYSTEM) + sum(self._sizes.look(messages))) * self._factor)

    async def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
        if request.system == SUMMARY_SYSTEM:
            async for delta in self._write(request):
                yield delta
            return
        prompt = self.count(request.messages)
        if prompt + request.max_output * self._strict > self._window:
            self.refused += 1
            words = self._says.format(window=self._window, prompt=prompt)
            named = self._window if "{window}" in self._says else 0
            raise ModelError("context_overflow", words or "too long", window=named)
        self.prompts.append(prompt)
        if self.keep:
            self.sent.append(tuple(request.messages))
        turn = request.replies or 0
        if turn < self._turns:
            yield TextDelta(f"I look at part {turn}, since what came before did not say what is wrong.")
            yield TextDelta((SOURCE * 2)[turn * 11 % 3_000 :][: self._talk])
            tool = "ask" if turn in self.asks else "look"
            arguments = {"question": self.asks[turn]} if turn in self.asks else {"number": turn}
            yield ToolCallDelta(0, f"c{turn}", tool, msgspec.json.encode(arguments).decode())
        else:
            yield TextDelta("done")
        yield ReplyEnd("tool_calls" if turn < self._turns else "end", self._usage(prompt, 60 + self._talk // 3))

    async def _write(self, request: ModelRequest) -> AsyncIterator[Delta]:
        self.summaries.append(request)
        prompt = int((estimate_text(request.system) + estimate(request.messages[0])) * self._factor)
        if prompt + request.max_output * self._strict > self._window:
            raise ModelError("context_overflow", "the conversation is too long")
        if self.notes:
            async for delta in CannedModel(self.notes.pop(0)).stream(request):
                yield delta
            return
        yield TextDelta(f"## Done\n- looked {len(self.summaries)} times")
        yield ReplyEnd("end", self._usage(prompt, 20))

    def _usage(self, prompt: int, output: int) -> Usage:
        return Usage(prompt, output, 0, prompt * self.info.usd_input + output * self.info.usd_output)


class ForgetfulJournal:
    """Keeps nothing. Implements `protocols.Journal`."""

    async def append(self, *entries: Entry, taken: Sequence[int] = ()) -> None:
        pass


def agent_of(
    model: WindowedModel,
    *,
    settings: ContextSettings | None = None,
    compaction: CompactionSettings | None = None,
    journal: Journal | None = None,
    session: Session | None = None,
    publish: Callable[[Event], None] = lambda _event: None,
    tools: Sequence[Tool] = (),
    limits: Limits | None = None,
    **more: Any,
) -> Agent:
    look = FunctionTool("look", Part, output, kind="read")
    return Agent(
        model,
        Toolbox([look, *tools]),
        ToolContext(root=Path("/"), scratch=Path("/"), environment={}, locks=FileLocks()),
        system=SYSTEM,
        journal=journal or MemoryJournal(),
        session=session,
        publish=publish,
        limits=limits or UNLIMITED,
        retry=more.pop("retry", RetryPolicy(attempts=1)),
        context_settings=settings,
        compaction=compaction,
        **more,
    )
