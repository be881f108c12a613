"""A model with a window, and an agent whose tool gives long outputs."""

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from kugetsu.agent import Agent, RetryPolicy, Toolbox
from kugetsu.config import ContextSettings
from kugetsu.context import estimate_text
from kugetsu.context.meter import Sizes
from kugetsu.errors import ModelError
from kugetsu.events import Event
from kugetsu.messages import Delta, Message, ReplyEnd, TextDelta, ToolCallDelta, Usage
from kugetsu.protocols import FileLocks, Journal, ModelInfo, ModelRequest, Tool, ToolContext, ToolOutput
from kugetsu.sessions import Entry, Session
from kugetsu.tasks import Limits
from kugetsu.testing import FunctionTool, MemoryJournal

SOURCE: Final = (Path(__file__).parents[1] / "context" / "samples" / "agent_python.txt").read_text(encoding="utf-8")
SYSTEM: Final = "You are a software engineer who works alone. " * 100


class Part(msgspec.Struct):
    number: int


async def output(arguments: Part, _context: ToolContext) -> ToolOutput:
    """20 KB of code, another beginning each time."""
    start = arguments.number * 37 % 5_000
    return ToolOutput.of(f"part {arguments.number}\n{(SOURCE * 5)[start : start + 20_000]}")


class WindowedModel:
    """Calls the tool so many times, then is done. Counts tokens in its own way, and refuses what does not fit.

    Attributes:
        prompts: tokens of each request.
        refused: how many did not fit.
    """

    name = "windowed/model"

    def __init__(self, turns: int, *, window: int, believed: int = 0, factor: float = 1.0, says: str = "") -> None:
        self.info = ModelInfo(believed or window, 16_000, priced=True)
        self.prompts: list[int] = []
        self.sent: list[tuple[Message, ...]] = []
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
        prompt = self.count(request.messages)
        if prompt > self._window:
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
            yield ToolCallDelta(0, f"c{turn}", "look", msgspec.json.encode(Part(turn)).decode())
        else:
            yield TextDelta("done")
        yield ReplyEnd("tool_calls" if turn < self._turns else "end", Usage(prompt, 60))


class ForgetfulJournal:
    """Keeps nothing. Implements `protocols.Journal`."""

    async def append(self, *entries: Entry, taken: Sequence[int] = ()) -> None:
        pass


def agent_of(
    model: WindowedModel,
    *,
    settings: ContextSettings | None = None,
    journal: Journal | None = None,
    session: Session | None = None,
    publish: Callable[[Event], None] = lambda _event: None,
    tools: Sequence[Tool] = (),
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
        limits=Limits(turns=0, tokens=0, usd=0, wall_seconds=0, idle_seconds=0),
        retry=RetryPolicy(attempts=1),
        context_settings=settings,
    )
