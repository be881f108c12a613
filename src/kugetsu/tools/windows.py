"""A stretch of lines out of a file of any size, read without holding the file in memory."""

import sys
from collections.abc import Iterator
from threading import Event
from typing import BinaryIO, Final

import msgspec

from kugetsu.errors import ToolError
from kugetsu.tools.decoding import Encoding, decode
from kugetsu.tools.truncation import MAX_BYTES, Truncated, show_size, truncate_head

_CHUNK_BYTES: Final = 1024 * 1024

_COUNTED_BYTES: Final = 64 * 1024 * 1024
"""Largest file whose lines are counted to the end, some 20 ms."""

SCANNED_BYTES: Final = 1024**3
"""Most that is read to find a line, some half a second."""


class Window(msgspec.Struct, frozen=True):
    """Lines of a file.

    Attributes:
        first: number of the first line, from 1.
        text: the lines, cut to what a result may hold.
        more: whether lines follow.
        total: lines of the whole file, None when it is too large to count.
        first_size: bytes of the first line, when that alone is too long; from `SCANNED_BYTES` on there may be more.
    """

    first: int
    text: Truncated
    more: bool
    total: int | None
    first_size: int = 0

    @property
    def last(self) -> int:
        """Number of the last line."""
        return self.first + self.text.lines - 1


def read_window(
    file: BinaryIO, encoding: Encoding, first: int, max_lines: int, stop: Event | None = None
) -> Window | int:
    """Read lines; the number of all lines when that is below `first`. An empty file can be read from its line 1.

    Args:
        file: positioned anywhere.
        encoding: one in which a byte of 10 is a line feed and nothing else.
        first: number of the first line, from 1.
        max_lines: how many at most.
        stop: once set, the file is read no further and the result means nothing.

    Raises:
        ToolError: the first line lies beyond `SCANNED_BYTES`.
        OSError: the file cannot be read.
    """
    start, passed = _skip_lines(file, first - 1, stop)
    file.seek(start)
    # One byte beyond the limit: a line that is cut here is then over the limit, and left out as a whole.
    data = file.read(len(encoding.mark) + MAX_BYTES + 1)
    if first > 1 and not data:
        return passed
    size = file.seek(0, 2)
    text = truncate_head(decode(data.removeprefix(encoding.mark) if first == 1 else data, encoding), max_lines)
    # A line feed at the very end may be all that was cut.
    more = text.cut is not None and (text.lines < text.total_lines or start + len(data) < size)
    total = count_lines(file, stop) if size <= _COUNTED_BYTES else None
    return Window(first, text, more, total, _line_size(file, start, stop) if text.first_too_long else 0)


def count_lines(file: BinaryIO, stop: Event | None = None) -> int:
    """Lines of a file of at most `SCANNED_BYTES`; a line feed at its end begins no further line."""
    return _skip_lines(file, sys.maxsize, stop)[1]


def _chunks(file: BinaryIO, start: int, stop: Event | None) -> Iterator[bytes]:
    file.seek(start)
    while not (stop and stop.is_set()) and (chunk := file.read(_CHUNK_BYTES)):
        yield chunk


def _skip_lines(file: BinaryIO, lines: int, stop: Event | None) -> tuple[int, int]:
    """Position behind so many lines, or the file's end; and how many lines stand before it."""
    if not lines:
        return 0, 0
    position, passed, last = 0, 0, b"\n"
    for chunk in _chunks(file, 0, stop):
        feeds = chunk.count(b"\n")
        if passed + feeds >= lines:
            return position + _behind_feeds(chunk, lines - passed), lines
        passed, position, last = passed + feeds, position + len(chunk), chunk[-1:]
        if position >= SCANNED_BYTES:
            raise ToolError(
                f"Line {lines + 1} is not within the first {show_size(SCANNED_BYTES)} of the file",
                fix="look further with bash, for example tail or sed -n",
            )
    return position, passed + (last != b"\n")


def _behind_feeds(chunk: bytes, feeds: int) -> int:
    end = -1
    for _ in range(feeds):
        end = chunk.index(b"\n", end + 1)
    return end + 1


def _line_size(file: BinaryIO, start: int, stop: Event | None) -> int:
    size = 0
    for chunk in _chunks(file, start, stop):
        end = chunk.find(b"\n")
        if end >= 0:
            return size + end
        size += len(chunk)
        if size >= SCANNED_BYTES:
            break
    return size
