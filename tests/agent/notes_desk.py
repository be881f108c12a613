"""A summarizer alone, with what it wasted, said and waited."""

from collections.abc import Sequence
from typing import Any

import pytest

from agent.context_lab import SOURCE
from kugetsu.agent import RetryPolicy
from kugetsu.agent.spending import Spending
from kugetsu.agent.summarizer import Summarizer
from kugetsu.context import Summary
from kugetsu.errors import SummaryError
from kugetsu.events import Event
from kugetsu.messages import (
    AssistantMessage,
    Message,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
    user,
)
from kugetsu.protocols import Model, ModelInfo, ModelRequest, Reserved
from kugetsu.sessions import Session, Wasted
from kugetsu.tasks import Limits, Spent
from kugetsu.testing import FakeClock

NOTES = "## Done\n- found the bug in parser.py"
PAID = Usage(5_000, 60, 0, 0.25)
NOTHING = Spent()
UNLIMITED = Limits(turns=0, tokens=0, usd=0)
DEAR = ModelInfo(100_000, 8_000, priced=True, usd_input=1e-5, usd_output=1e-4)


def worked(turns: int = 3, size: int = 2_000) -> list[Message]:
    messages: list[Message] = [user("repair the parser")]
    for turn in range(turns):
        thought = Thinking("a secret thought", "signed", "sealed")
        call = ToolCall(f"c{turn}", "look", f'{{"number": {turn}}}')
        messages.append(AssistantMessage((thought, Text(f"I look at part {turn}."), call), "tool_calls"))
        messages.append(ToolResult(f"c{turn}", "look", (Text(f"part {turn} " + SOURCE[:size]),)))
    return messages


class Desk:
    """A summarizer, with what it wasted, said and waited."""

    def __init__(self, model: Model, *, limits: Limits = UNLIMITED, leaving: Spent = NOTHING, **more: Any) -> None:
        self.wasted: list[Usage] = []
        self.events: list[Event] = []
        self.clock = FakeClock()
        self.session = Session()

        async def waste(usage: Usage) -> None:
            self.session.apply(Wasted(usage))
            self.wasted.append(usage)

        async def unbounded(_least: Spent, _most: Spent) -> Reserved | None:
            return None

        self.summarizer = Summarizer(
            model,
            Spending(self.session, limits, more.get("reserve", unbounded), self.clock, self.events.append),
            more.get("policy", RetryPolicy()),
            conversation="task",
            clock=self.clock,
            publish=more.get("publish", self.events.append),
            waste=waste,
            leaving=lambda: leaving,
        )

    async def write(
        self, messages: Sequence[Message] = (), before: Summary | None = None, *, most: int = 4_000, ratio: float = 1.0
    ) -> AssistantMessage:
        return await self.summarizer.write(messages or worked(), before, turn=3, most=most, ratio=ratio)

    async def fails(self, **how: Any) -> str:
        with pytest.raises(SummaryError) as caught:
            await self.write(**how)
        return str(caught.value)


def asked(request: ModelRequest) -> str:
    (message,) = request.messages
    (block,) = message.content
    assert isinstance(block, Text)
    return block.text
