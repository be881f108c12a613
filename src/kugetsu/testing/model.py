"""A model that says what a test puts into its mouth."""

from collections.abc import AsyncIterator, Callable, Iterable
from typing import TypeAlias

import msgspec

from kugetsu.errors import ModelError
from kugetsu.messages import (
    AssistantMessage,
    Delta,
    ReplyEnd,
    Text,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from kugetsu.protocols import ModelInfo, ModelRequest

Stream: TypeAlias = Callable[[ModelRequest], AsyncIterator[Delta]]
CannedReply: TypeAlias = AssistantMessage | ModelError | Stream
"""A whole reply, a failure, or a function that streams whatever it likes (and may hang)."""


class CannedModel:
    """Gives prepared replies, one a call, then the text `done` for ever. Implements `protocols.Model`.

    Attributes:
        requests: what it was asked.
    """

    name = "canned/model"
    info = ModelInfo(context_window=100_000, max_output=8_000, images=True, priced=True)

    def __init__(self, *replies: CannedReply) -> None:
        self._replies = list(replies)
        self.requests: list[ModelRequest] = []

    async def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
        """Stream the next reply, or fail as prepared."""
        # The conversation goes on growing after this call; what was asked does not.
        self.requests.append(msgspec.structs.replace(request, messages=tuple(request.messages)))
        reply = self._replies.pop(0) if self._replies else says("done")
        if isinstance(reply, ModelError):
            raise reply
        if isinstance(reply, AssistantMessage):
            for delta in _deltas(reply):
                yield delta
            return
        async for delta in reply(request):
            yield delta


def says(text: str, *calls: ToolCall, usage: Usage | None = None) -> AssistantMessage:
    """Make a whole reply of a text and tool calls."""
    content = ((Text(text),) if text else ()) + calls
    return AssistantMessage(content, "tool_calls" if calls else "end", usage or Usage())


def _deltas(reply: AssistantMessage) -> Iterable[Delta]:
    for place, block in enumerate(reply.content):
        match block:
            case Text():
                yield TextDelta(block.text)
            case ToolCall():
                yield ToolCallDelta(place, block.id, block.name, block.arguments)
            case _:
                yield ThinkingDelta(block.text, block.signature, block.redacted, closes=True)
    yield ReplyEnd(reply.stop, reply.usage)
