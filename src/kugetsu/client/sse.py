"""Server-sent events, cut out of the bytes in which they arrive, with the ids that let a reader go on where it was.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation. Lines end as our server
ends them, or with a carriage return before that.
"""

from typing import Final, NamedTuple

EVENT_BYTES: Final = 64 * 2**20
"""Bytes that one event may have; the largest real ones carry a whole file in a tool call."""


class ServerEvent(NamedTuple):
    """One event; or with neither name nor data the word from where to go on.

    Attributes:
        id: empty for one that has none.
    """

    id: str
    name: str
    data: bytes


class EventTooLargeError(ValueError):
    """An event outgrew the limit."""


class EventParser:
    """Cuts a stream of bytes into events, wherever the borders of its chunks fall.

    Args:
        limit: bytes that one event may have.
    """

    def __init__(self, limit: int = EVENT_BYTES) -> None:
        self._limit = limit
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """Take the next bytes; give the events they complete.

        Raises:
            EventTooLargeError: an event outgrew the limit.
        """
        chunk = chunk.replace(b"\r", b"")
        # Only what is new is searched, so that a large event in small chunks does not cost its square.
        start = max(0, len(self._rest) - 1)
        self._rest += chunk
        if self._rest.find(b"\n\n", start) < 0:
            blocks: list[bytes] = []
        else:
            *blocks, rest = bytes(self._rest).split(b"\n\n")
            self._rest = bytearray(rest)
        if len(self._rest) > self._limit:
            raise EventTooLargeError(f"an event is larger than {self._limit:,} bytes")
        return [event for block in blocks if (event := _event(block))]


def _event(block: bytes) -> ServerEvent | None:
    """Read the lines of one event; None for a comment."""
    number, name, data = b"", b"", list[bytes]()
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match field:
            case b"id":
                number = value
            case b"event":
                name = value
            case b"data":
                data.append(value)
            case _:
                pass
    if not (number or data):
        return None
    return ServerEvent(number.decode(errors="replace"), name.decode(errors="replace"), b"\n".join(data))
