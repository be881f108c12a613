"""A reply while it streams: the pieces, and the builder that turns them into one message."""

from collections.abc import Iterable
from typing import TypeAlias

import msgspec

from kugetsu.messages.content import AssistantMessage, ReplyContent, StopReason, Text, Thinking, ToolCall, Usage


class ReplyStart(msgspec.Struct, frozen=True, gc=False):
    """The first piece of a reply that is not by the model which was asked.

    Attributes:
        model: `provider/model` that speaks.
    """

    model: str


class TextDelta(msgspec.Struct, frozen=True, gc=False):
    """More text."""

    text: str


class ThinkingDelta(msgspec.Struct, frozen=True, gc=False):
    """More reasoning. `closes` ends the block, so that the next delta starts another one."""

    text: str = ""
    signature: str = ""
    redacted: str = ""
    closes: bool = False


class ToolCallDelta(msgspec.Struct, frozen=True, gc=False):
    """More of a tool call.

    Attributes:
        index: tells the calls of one reply apart.
        id: set once, usually in the first piece.
        name: set once, usually in the first piece.
        arguments: a fragment of the JSON text.
    """

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


class ReplyEnd(msgspec.Struct, frozen=True, gc=False):
    """The last piece: why the reply ended and what it consumed."""

    stop: StopReason
    usage: Usage = Usage()


Delta: TypeAlias = ReplyStart | TextDelta | ThinkingDelta | ToolCallDelta | ReplyEnd


class _Block:
    """One block under construction."""

    __slots__ = ("id", "kind", "name", "parts", "redacted", "signature")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.parts: list[str] = []
        self.signature = self.redacted = self.id = self.name = ""

    def finish(self, position: int) -> ReplyContent | None:
        text = "".join(self.parts)
        if self.kind == "call":
            return ToolCall(self.id or f"call_{position}", self.name, text or "{}")
        if self.kind == "thinking":
            empty = not (text or self.signature or self.redacted)
            return None if empty else Thinking(text, self.signature, self.redacted)
        return Text(text) if text else None


class ReplyBuilder:
    """Collects the pieces of one reply. Can be finished at any moment: what has arrived so far is kept."""

    __slots__ = ("_blocks", "_calls", "_end", "_model")

    def __init__(self, model: str) -> None:
        self._model = model
        self._blocks: list[_Block] = []
        self._calls: dict[int, _Block] = {}
        self._end: ReplyEnd | None = None

    def add(self, delta: Delta) -> None:
        """Take the next piece."""
        match delta:
            case TextDelta():
                self._open("text").parts.append(delta.text)
            case ThinkingDelta():
                self._add_thinking(delta)
            case ToolCallDelta():
                self._add_call(delta)
            case ReplyEnd():
                self._end = delta
            case ReplyStart():
                self._model = delta.model

    @property
    def ended(self) -> bool:
        """Whether the reply came to its end."""
        return self._end is not None

    def message(self) -> AssistantMessage:
        """What has arrived: the whole reply, or an aborted one when its end is missing.

        An aborted reply keeps its text and reasoning but no tool call: an unfinished call must never run.
        """
        if self._end is None:
            return self._aborted([block for block in self._blocks if block.kind != "call"])
        return AssistantMessage(_finished(self._blocks), self._end.stop, self._end.usage, self._model)

    def everything(self) -> AssistantMessage:
        """All that has arrived, also of calls that are not whole. For whoever counts what it cost; none of it may run."""
        return self._aborted(self._blocks)

    def _aborted(self, blocks: Iterable[_Block]) -> AssistantMessage:
        return AssistantMessage(_finished(blocks), "aborted", Usage(), self._model)

    def _open(self, kind: str) -> _Block:
        if not self._blocks or self._blocks[-1].kind != kind:
            self._blocks.append(_Block(kind))
        return self._blocks[-1]

    def _add_thinking(self, delta: ThinkingDelta) -> None:
        block = self._open("thinking")
        if delta.text:
            block.parts.append(delta.text)
        block.signature += delta.signature
        block.redacted += delta.redacted
        if delta.closes:
            self._blocks.append(_Block("text"))

    def _add_call(self, delta: ToolCallDelta) -> None:
        block = self._calls.get(delta.index)
        if block is None:
            block = self._calls[delta.index] = _Block("call")
            self._blocks.append(block)
        block.id = block.id or delta.id
        block.name = block.name or delta.name
        if delta.arguments:
            block.parts.append(delta.arguments)


def _finished(blocks: Iterable[_Block]) -> tuple[ReplyContent, ...]:
    return tuple(done for position, block in enumerate(blocks) if (done := block.finish(position)))
