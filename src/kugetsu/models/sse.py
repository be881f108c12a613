"""Server-sent events, read as they arrive.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation. `id` and `retry` are
left out: a reply is never resumed. One thing is added: `flush` gives an event whose closing blank line never came.
"""

from typing import Final, TypeAlias

ServerEvent: TypeAlias = tuple[bytes, bytes]
"""Name of an event, empty when the stream gives none, and its data."""

EVENT_LIMIT: Final = 16 * 1024 * 1024
"""Bytes that one event may have; the largest real ones carry a whole file in a tool call."""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class EventTooLargeError(ValueError):
    """An event outgrew the limit."""


class EventParser:
    """Cuts a stream of bytes into events, wherever the borders of its chunks fall.

    Args:
        limit: bytes that one event may have.
    """

    __slots__ = ("_fresh", "_limit", "_pending", "_skip_line_feed")

    def __init__(self, limit: int = EVENT_LIMIT) -> None:
        self._limit = limit
        self._pending = bytearray()
        self._fresh = True
        self._skip_line_feed = False

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """Take the next bytes; give the events they complete.

        Raises:
            EventTooLargeError: an event outgrew the limit.
        """
        text = self._with_line_feeds(chunk) if self._skip_line_feed or b"\r" in chunk else chunk
        if self._pending:
            # Only the new bytes are searched, so that a large event in small chunks does not cost its square.
            known = len(self._pending) - 1
            self._pending += text
            if self._pending.find(b"\n\n", known) < 0:
                self._check(self._pending)
                return []
            text = bytes(self._pending)
            self._pending.clear()
        *blocks, rest = text.split(b"\n\n")
        self._pending += rest
        self._check(*blocks, rest)
        return [event for block in blocks if (event := self._event(block))]

    def flush(self) -> list[ServerEvent]:
        """Give the event that the end of the stream cut short, if any."""
        block = bytes(self._pending)
        self._pending.clear()
        event = self._event(block) if block.strip() else None
        return [event] if event else []

    def _check(self, *blocks: bytes | bytearray) -> None:
        if any(len(block) > self._limit for block in blocks):
            raise EventTooLargeError(f"an event is larger than {self._limit:,} bytes")

    def _with_line_feeds(self, chunk: bytes) -> bytes:
        """Turn every line end into a line feed; one that two chunks share is counted once."""
        if not chunk:
            return chunk
        if self._skip_line_feed and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        self._skip_line_feed = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _event(self, block: bytes) -> ServerEvent | None:
        """Read the lines of one event; None when they hold no data."""
        if block.startswith(b"data: ") and b"\n" not in block:
            self._fresh = False
            return b"", block[6:]
        if self._fresh:
            self._fresh = False
            block = block.removeprefix(_BYTE_ORDER_MARK)
        event, data = b"", list[bytes]()
        for line in block.split(b"\n"):
            field, _, value = line.partition(b":")
            if field == b"data":
                data.append(value.removeprefix(b" "))
            elif field == b"event":
                event = value.removeprefix(b" ")
        return (event, b"\n".join(data)) if data else None
