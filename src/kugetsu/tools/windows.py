"""A stretch of lines out of a file of any size, read without holding the file in memory."""

from collections.abc import Iterator
from typing import BinaryIO, Final

import msgspec

from kugetsu.tools.decoding import Encoding, decode
from kugetsu.tools.truncation import MAX_BYTES, Truncated, truncate_head

_CHUNK_BYTES: Final = 1024 * 1024

_COUNTED_BYTES: Final = 64 * 1024 * 1024
"""Largest file whose lines are counted to the end, some 20 ms."""


class Window(msgspec.Struct, frozen=True):
    """Lines of a file.

    Attributes:
        first: number of the first line, from 1.
        text: the lines, cut to what a result may hold.
        more: whether lines follow.
        total: lines of the whole file, None when it is too large to count.
        first_size: bytes of the first line, when that alone is too long.
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


def read_window(file: BinaryIO, encoding: Encoding, first: int, max_lines: int) -> Window | None:
    """Read lines; None when the file ends before the first of them. An empty file has one empty line.

    Args:
        file: positioned anywhere.
        encoding: one in which a byte of 10 is a line feed and nothing else.
        first: number of the first line, from 1.
        max_lines: how many at most.

    Raises:
        OSError: the file cannot be read.
    """
    start = _line_start(file, first - 1)
    if start is None:
        return None
    file.seek(start)
    # One byte beyond the limit: a line that is cut here is then over the limit, and left out as a whole.
    data = file.read(len(encoding.mark) + MAX_BYTES + 1)
    if first == 1:
        data = data.removeprefix(encoding.mark)
    elif not data:
        return None
    text = truncate_head(decode(data, encoding), max_lines)
    total = count_lines(file) if file.seek(0, 2) <= _COUNTED_BYTES else None
    size = _line_size(file, start) if text.first_too_long else 0
    return Window(first, text, more=text.cut is not None, total=total, first_size=size)


def count_lines(file: BinaryIO) -> int:
    """Lines of a file; a line feed at its end begins no further line."""
    lines, last = 0, b"\n"
    for chunk in _chunks(file, 0):
        lines += chunk.count(b"\n")
        last = chunk[-1:]
    return lines if last == b"\n" else lines + 1


def _chunks(file: BinaryIO, start: int) -> Iterator[bytes]:
    file.seek(start)
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk


def _line_start(file: BinaryIO, lines: int) -> int | None:
    """Position behind so many lines, None when there are not so many line feeds."""
    if not lines:
        return 0
    position = 0
    for chunk in _chunks(file, 0):
        feeds = chunk.count(b"\n")
        if feeds >= lines:
            return position + _behind_feeds(chunk, lines)
        lines -= feeds
        position += len(chunk)
    return None


def _behind_feeds(chunk: bytes, feeds: int) -> int:
    end = -1
    for _ in range(feeds):
        end = chunk.index(b"\n", end + 1)
    return end + 1


def _line_size(file: BinaryIO, start: int) -> int:
    size = 0
    for chunk in _chunks(file, start):
        end = chunk.find(b"\n")
        if end >= 0:
            return size + end
        size += len(chunk)
    return size
