"""The same conversation as others would have sent it: everything always, and by the rule of Pi's compaction.

Pi 0.87.1: when the last reported usage and a quarter of the characters since are more than the window less 16,384, all but
about the last 20,000 tokens (a quarter of the characters again) go, never between a call and its result; a model sums them
up together with the summary before, outputs of tools cut at 2,000 characters; a list of the files follows. Here it is
looked at before every call, a summary takes one call, and has as many tokens as ours.
"""

import itertools
import operator
from collections.abc import Sequence
from typing import Final

import msgspec
from bench.conversations.story import Story
from bench.conversations.teller import Sent, count

from kugetsu.context import cut_point, estimate_text, gather
from kugetsu.messages import AssistantMessage, Message, ToolCall, ToolResult, UserMessage, user

_RESERVED: Final = 16_384
_KEPT: Final = 20_000
_CHARACTERS: Final = 4
"""That Pi takes for a token."""

_OUTPUT_SHOWN: Final = 2_000
"""Characters of a tool's output in what is summed up."""

_INSTRUCTIONS: Final = 400
"""Tokens of what Pi says to a model that sums up: 1.6 KB of text."""


class Managed(msgspec.Struct):
    """What a management sent.

    Attributes:
        sent: all requests.
        visible: shares of the original texts that the model still sees in the end, see `visible_shares`.
        compactions, prunings: how many.
    """

    sent: list[Sent]
    visible: dict[str, float]
    compactions: int = 0
    prunings: int = 0


def send_everything(messages: Sequence[Message], frame: int) -> Managed:
    """Nothing ever goes, whatever fits."""
    sent: list[Sent] = []
    before, now = 0, frame
    for message in messages:
        if isinstance(message, AssistantMessage):
            sent.append(Sent(now, before, message.usage.output))
            before = now
        now += count(message)
    return Managed(sent, visible_shares(messages, messages))


def follow_pi(messages: Sequence[Message], frame: int, window: int, story: Story) -> Managed:
    """As Pi would have sent it."""
    context = _PiContext(frame, window, story)
    for message in messages:
        if isinstance(message, AssistantMessage):
            context.answer(message)
        context.messages.append(message)
    return Managed(context.sent, visible_shares(messages, context.messages), context.compactions)


class _PiContext:
    """A conversation under Pi's rule.

    Attributes:
        messages: what is sent, the summary included.
        sent: what was.
        compactions: how many.
    """

    def __init__(self, frame: int, window: int, story: Story) -> None:
        self.messages: list[Message] = []
        self.sent: list[Sent] = []
        self.compactions = 0
        self._frame = frame
        self._window = window
        self._notes = story.notes
        self._summarised: list[Message] = []
        self._summary: UserMessage | None = None
        self._before: list[Message] = []
        self._sizes: dict[int, int] = {}
        self._counted: tuple[int, int] | None = None

    def answer(self, reply: AssistantMessage) -> None:
        """Make room if there is too little, and send."""
        if self._tokens() > self._window - _RESERVED:
            self._compact()
        prompt = self._frame + self._sum(self.messages)
        if prompt > self._window:
            raise SystemExit(f"Pi's prompt of {prompt} tokens does not fit into {self._window}: nothing was measured")
        same = sum(itertools.takewhile(bool, map(operator.is_, self._before, self.messages)))
        cached = self._frame + self._sum(self._before[:same]) if self.sent else 0
        self.sent.append(Sent(prompt, cached, reply.usage.output))
        self._before = list(self.messages)
        self._counted = prompt + reply.usage.output, len(self.messages) + 1

    def _sum(self, messages: Sequence[Message]) -> int:
        """The tokens of messages, each counted once."""
        for message in messages:
            if id(message) not in self._sizes:
                self._sizes[id(message)] = count(message)
        return sum(self._sizes[id(message)] for message in messages)

    def _tokens(self) -> int:
        """As Pi takes it."""
        if self._counted is None:
            return self._frame + sum(map(_pi_tokens, self.messages))
        tokens, place = self._counted
        return tokens + sum(map(_pi_tokens, self.messages[place:]))

    def _compact(self) -> None:
        start = 0 if self._summary is None else 1
        recent = self.messages[start:]
        cut = cut_point(recent, [_pi_tokens(message) for message in recent], keep=_KEPT)
        if not cut:
            return
        gone = recent[:cut]
        told = estimate_text(_serialised(gone)) + _INSTRUCTIONS + (estimate_text(self._notes) if start else 0)
        self.sent.append(Sent(told, 0, estimate_text(self._notes), summary=True))
        self._summarised += gone
        files = gather(self._summarised)
        listed = "\n".join([*files.read, *files.changed])
        self._summary = user(f"{self._notes}\n\n{listed}", "summary")
        self.messages[:] = [self._summary, *recent[cut:]]
        self._counted = None
        self.compactions += 1


def visible_shares(original: Sequence[Message], now: Sequence[Message]) -> dict[str, float]:
    """The share of the original characters that is still there: of everything, of what users said, of what the agent said."""
    left = {id(piece): len(piece) for message in now for piece in _pieces(message)}
    kinds: dict[str, list[int]] = {}
    for message in original:
        said = {UserMessage: "user", AssistantMessage: "agent", ToolResult: "tools"}[type(message)]
        for piece in _pieces(message):
            for kind in ("all", said):
                seen = kinds.setdefault(kind, [0, 0])
                seen[0] += left.get(id(piece), 0)
                seen[1] += len(piece)
    return {kind: seen / whole for kind, (seen, whole) in kinds.items()}


def _pieces(message: Message) -> list[str]:
    """The texts of a message."""
    return [block.arguments if isinstance(block, ToolCall) else getattr(block, "text", "") for block in message.content]


def _pi_tokens(message: Message) -> int:
    names = sum(len(block.name) for block in message.content if isinstance(block, ToolCall))
    return -(-(names + sum(map(len, _pieces(message)))) // _CHARACTERS)


def _serialised(messages: Sequence[Message]) -> str:
    """A conversation as Pi shows it to the model that sums it up."""
    parts = []
    for message in messages:
        limit = _OUTPUT_SHOWN if isinstance(message, ToolResult) else None
        parts += [f"[{type(message).__name__}]: {piece[:limit]}" for piece in _pieces(message) if piece]
    return "\n\n".join(parts)
