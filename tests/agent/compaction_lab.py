"""A run in a small window in which stubs do not help for long, and all that came of it."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

from agent.context_lab import WindowedModel, agent_of
from kugetsu.agent import Agent
from kugetsu.context import estimate, estimate_text
from kugetsu.events import Event
from kugetsu.messages import Delta, Message, ReplyEnd, Text, TextDelta, Usage, UserMessage
from kugetsu.protocols import ModelRequest, ToolContext, ToolOutput
from kugetsu.sessions import Compacted, Session
from kugetsu.testing import CannedReply, FunctionTool, MemoryJournal


class Question(msgspec.Struct):
    question: str


class Lab:
    """A run in a small window, and all that came of it."""

    def __init__(self, turns: int = 60, *, window: int = 16_000, talk: int = 1_500, **about: Any) -> None:
        self.model = WindowedModel(turns, window=window, talk=talk, **about)
        self.journal = MemoryJournal()
        self.events: list[Event] = []

    def agent(self, **more: Any) -> Agent:
        async def answer(arguments: Question, _context: ToolContext) -> ToolOutput:
            return ToolOutput.of(f"the answer to {arguments.question}: " + "as the user said it; " * 40)

        ask = FunctionTool("ask", Question, answer, kind="read")
        more = {"tools": [ask], "session": Session(self.journal.entries), **more}
        agent = agent_of(self.model, journal=self.journal, publish=self.events.append, **more)
        agent.session.settle()
        return agent

    def all(self, *kinds: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kinds)]

    @property
    def compactions(self) -> list[Compacted]:
        return [entry for entry in self.journal.entries if isinstance(entry, Compacted)]

    def work_before(self, entry: Compacted) -> int:
        """Tokens of the work that a compaction took out."""
        place = self.journal.entries.index(entry)
        before, after = Session(self.journal.entries[:place]), Session(self.journal.entries[: place + 1])
        return sum(map(estimate, before.messages)) - sum(map(estimate, after.messages)) + notes_size(after)


def notes_size(session: Session) -> int:
    return sum(estimate(one) for one in session.messages if isinstance(one, UserMessage) and one.origin == "summary")


def texts(messages: Sequence[Message]) -> str:
    return "\n".join(block.text for one in messages for block in one.content if isinstance(block, Text))


def writes_much(times: float) -> CannedReply:
    """Notes that are as long as is allowed, or so many times that."""

    async def stream(request: ModelRequest) -> AsyncIterator[Delta]:
        said = texts(request.messages).rsplit("At most ", 1)[1]
        words = int(said.split(" ", 1)[0].replace(",", "")) * 2.2 * times
        text = "notes " * max(1, int(words))
        yield TextDelta(text)
        yield ReplyEnd("end", Usage(1_000, estimate_text(text)))

    return stream
