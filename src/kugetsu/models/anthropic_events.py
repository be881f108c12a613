"""The events of a streamed reply of Anthropic's messages API.

Format: https://docs.claude.com/en/docs/build-with-claude/streaming. Servers that imitate it leave fields out.
"""

from typing import Any, Final

import msgspec

from kugetsu.models.pricing import Tokens, token_count


class UsagePiece(msgspec.Struct, gc=False):
    """Token counts. Each event counts from the beginning; the input comes in three parts."""

    input_tokens: float | None = None
    cache_creation_input_tokens: float | None = None
    cache_read_input_tokens: float | None = None
    output_tokens: float | None = None


class MessagePiece(msgspec.Struct, gc=False):
    """The message as it begins."""

    usage: UsagePiece | None = None


class BlockPiece(msgspec.Struct, gc=False):
    """A block as it begins; usually empty, but for redacted reasoning whole."""

    type: str = ""
    id: str | None = None
    name: str | None = None
    input: Any = None
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None


class DeltaPiece(msgspec.Struct, gc=False):
    """More of a block, or how the message ends."""

    type: str = ""
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    stop_reason: str | None = None


class Event(msgspec.Struct, gc=False):
    """Any event; which fields it has depends on its type."""

    type: str = ""
    index: int | None = None
    message: MessagePiece | None = None
    content_block: BlockPiece | None = None
    delta: DeltaPiece | None = None
    usage: UsagePiece | None = None
    error: Any = None


DECODER: Final = msgspec.json.Decoder(Event, strict=False)


class UsageCount:
    """Adds the counts of one reply up. Some servers give the input at the beginning, some at the end."""

    def __init__(self) -> None:
        self._fresh = self._written = self._cached = self._output = 0
        self._known = False

    def take(self, piece: UsagePiece) -> None:
        """Take the counts of an event; the largest seen is the true one."""
        self._known = True
        self._fresh = max(self._fresh, token_count(piece.input_tokens))
        self._written = max(self._written, token_count(piece.cache_creation_input_tokens))
        self._cached = max(self._cached, token_count(piece.cache_read_input_tokens))
        self._output = max(self._output, token_count(piece.output_tokens))

    def tokens(self) -> Tokens:
        """The counts in our terms: input is all of the prompt."""
        return Tokens(
            input=self._fresh + self._written + self._cached,
            output=self._output,
            cached=self._cached,
            cache_write=self._written,
            known=self._known,
        )
