"""A model that plays a story in this process. It counts tokens in its own way, and refuses what does not fit."""

import json
import time
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

import msgspec
from bench.conversations.story import SAID_LATER, Story, Turn

from kugetsu.context import SUMMARY_SYSTEM, estimate, estimate_text
from kugetsu.errors import ModelError
from kugetsu.messages import Delta, Message, ReplyEnd, Text, TextDelta, ToolCallDelta, Usage
from kugetsu.protocols import ModelInfo, ModelRequest, ToolSpec

NAME: Final = "bench/teller"
LONGEST_REPLY: Final = 16_000
"""Tokens."""

_PIECES: Final = 6
_SPREAD: Final = 25
"""Each message counts from 88 to 112 percent of what the estimate says, so that the estimate is never right by accident."""


class Sent(msgspec.Struct, frozen=True, gc=False):
    """What one request is billed by.

    Attributes:
        input: tokens of the prompt.
        cached: of these the ones that the request before, in the same conversation, began with too.
        output: tokens of the reply.
        summary: whether it asks for notes; such a request has nothing in common with the one before, and is not kept.
    """

    input: int
    cached: int
    output: int
    summary: bool = False


def count(message: Message) -> int:
    """Tokens of a message."""
    first = next((block.text for block in message.content if isinstance(block, Text)), "")
    percent = 100 + zlib.crc32(first[:200].encode()) % _SPREAD - _SPREAD // 2
    return estimate(message) * percent // 100


def count_frame(system: str, tools: Sequence[ToolSpec]) -> int:
    """Tokens of what every request begins with."""
    told = (f"{tool.name} {tool.description} {bytes(tool.schema).decode()}" for tool in tools)
    return estimate_text(system) + sum(map(estimate_text, told))


class Teller:
    """Plays a story. Implements `protocols.Model`.

    Args:
        story: what it says.
        window: tokens that fit into one call, reply included.

    Attributes:
        say: takes what the user says meanwhile.
        look: called before each reply with how many there were.
        sent: all requests that were answered.
        refused: how many did not fit.
        own_seconds: CPU time that its counting took.
        frame: tokens of what every request begins with.
    """

    name = NAME

    def __init__(self, story: Story, window: int) -> None:
        self.say: Callable[[str], None] = _nobody
        self.look: Callable[[int], None] = _nobody
        self.info = ModelInfo(window, LONGEST_REPLY, priced=True)
        self.sent: list[Sent] = []
        self.refused = self.frame = 0
        self.own_seconds = 0.0
        self._story = story
        self._messages: list[Message] = []
        self._tokens: list[int] = []

    async def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
        """Say what comes next; the user may have said something meanwhile.

        Raises:
            ModelError: it does not fit.
        """
        if request.system == SUMMARY_SYSTEM:
            begun = time.process_time()
            usage = self._bill(sum(map(count, request.messages)), 0, estimate_text(self._story.notes))
            self.own_seconds += time.process_time() - begun
            yield TextDelta(self._story.notes)
            yield ReplyEnd("end", usage)
            return
        number = request.replies or 0
        begun = time.process_time()
        prompt, cached = self._read(request)
        self.own_seconds += time.process_time() - begun
        self.look(number)
        if said := SAID_LATER.get(number):
            self.say(said)
        if number >= len(self._story.turns):
            yield TextDelta("All done.")
            yield ReplyEnd("end", self._bill(prompt, cached, 3))
            return
        turn = self._story.turns[number]
        for delta in _deltas(turn, number):
            yield delta
        yield ReplyEnd("tool_calls", self._bill(prompt, cached, _size(turn)))

    def _read(self, request: ModelRequest) -> tuple[int, int]:
        """Tokens of a prompt, and of what it has in common with the one before."""
        self.frame = self.frame or count_frame(request.system, request.tools)
        messages, same = request.messages, 0
        for one, other in zip(self._messages, messages, strict=False):
            if one is not other and one != other:
                break
            same += 1
        self._messages[same:] = messages[same:]
        self._tokens[same:] = map(count, messages[same:])
        prompt = self.frame + sum(self._tokens)
        if prompt > self.info.context_window:
            self.refused += 1
            raise ModelError(
                "context_overflow", f"the window is {self.info.context_window}", window=self.info.context_window
            )
        return prompt, self.frame + sum(self._tokens[:same]) if self.sent else 0

    def _bill(self, prompt: int, cached: int, output: int) -> Usage:
        summary = not cached and bool(self.sent)
        self.sent.append(Sent(prompt, cached, output, summary))
        return Usage(prompt, output, cached)


def _nobody(_told: object) -> None:
    """Nobody listens."""


def _size(turn: Turn) -> int:
    arguments = (json.dumps(call.arguments) for call in turn.calls)
    return estimate_text(turn.words) + sum(map(estimate_text, arguments))


def _deltas(turn: Turn, number: int) -> list[Delta]:
    length = -(-len(turn.words) // _PIECES)
    said: list[Delta] = [TextDelta(turn.words[start : start + length]) for start in range(0, len(turn.words), length)]
    return said + [
        ToolCallDelta(place, f"call_{number}_{place}", call.name, json.dumps(call.arguments))
        for place, call in enumerate(turn.calls)
    ]
