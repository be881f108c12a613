"""Cutting text to what a conversation can hold: by lines and bytes, from either end.

The limits and the rules are those of Pi: whichever limit comes first cuts, whole lines are kept, and bytes are counted
as UTF-8 of the lines joined by single line feeds.
"""

from collections.abc import Sequence
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

MAX_LINES: Final = 2000
"""Lines of one result."""

MAX_BYTES: Final = 50 * 1024
"""Bytes of one result."""

FirstLine: TypeAlias = Annotated[
    Annotated[int, Meta(ge=0)] | None, Meta(description="First line to show, counted from 1. Default 1.")
]
"""Argument of tools that show a part of something."""

MostLines: TypeAlias = Annotated[
    Annotated[int, Meta(ge=1)] | None, Meta(description=f"Most lines to show. Default and maximum {MAX_LINES}.")
]
"""Likewise."""

BYTES_NOTICE: Final = f"{MAX_BYTES // 1024}KB limit reached"
"""Tells that a list was cut by them."""

_KIB: Final = 1024

Cut = Literal["lines", "bytes"]
"""Which limit cut a text."""


class Truncated(msgspec.Struct, frozen=True):
    """A text after cutting.

    Attributes:
        content: what is left, without a line feed at its end when something was cut.
        cut: the limit that cut, None when the text fitted.
        total_lines: lines before cutting; a line feed at the end begins no further line.
        total_bytes: bytes before cutting.
        lines: lines of `content`.
        size: bytes of `content`.
        partial_line: the only line left is itself cut (tail only).
        first_too_long: nothing is left, because the first line alone is over the byte limit (head only).
    """

    content: str
    cut: Cut | None
    total_lines: int
    total_bytes: int
    lines: int
    size: int
    partial_line: bool = False
    first_too_long: bool = False


def byte_length(text: str) -> int:
    """Bytes of a text in UTF-8; a lone surrogate counts as three."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def show_size(size: int) -> str:
    """A number of bytes for people, for example `50.0KB`."""
    if size < _KIB:
        return f"{size}B"
    if size < _KIB * _KIB:
        return f"{size / _KIB:.1f}KB"
    if size < _KIB**3:
        return f"{size / _KIB**2:.1f}MB"
    return f"{size / _KIB**3:.1f}GB"


def split_lines(text: str) -> list[str]:
    """Lines as line feeds part them; one at the very end begins no further line."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return lines


def annotate(text: str, notices: Sequence[str]) -> str:
    """Add notices to a result, in brackets below it."""
    return "\n\n".join(part for part in (text, f"[{'. '.join(notices)}]" if notices else "") if part)


def truncate_head(text: str, max_lines: int = MAX_LINES, max_bytes: int = MAX_BYTES) -> Truncated:
    """Keep the beginning: whole lines only."""
    lines = split_lines(text)
    total = byte_length(text)
    if len(lines) <= max_lines and total <= max_bytes:
        return Truncated(text, None, len(lines), total, len(lines), total)
    kept, size, cut = _fitting(lines, max_lines, max_bytes)
    return Truncated(
        content="\n".join(kept),
        cut=cut,
        total_lines=len(lines),
        total_bytes=total,
        lines=len(kept),
        size=size,
        first_too_long=bool(lines) and byte_length(lines[0]) > max_bytes,
    )


def truncate_tail(text: str, max_lines: int = MAX_LINES, max_bytes: int = MAX_BYTES) -> Truncated:
    """Keep the end: whole lines, or the end of the last line when that alone is over the byte limit."""
    lines = split_lines(text)
    total = byte_length(text)
    if len(lines) <= max_lines and total <= max_bytes:
        return Truncated(text, None, len(lines), total, len(lines), total)
    kept, size, cut = _fitting(lines[::-1], max_lines, max_bytes)
    if kept or not lines or max_lines < 1:
        return Truncated("\n".join(kept[::-1]), cut, len(lines), total, len(kept), size)
    end = _end_of(lines[-1], max_bytes)
    cut = "lines" if max_lines == 1 else "bytes"
    return Truncated(end, cut, len(lines), total, 1, byte_length(end), partial_line=True)


def _fitting(lines: list[str], max_lines: int, max_bytes: int) -> tuple[list[str], int, Cut]:
    """The first lines that fit, their joined size, and which limit ends them."""
    size = 0
    for number, line in enumerate(lines[:max_lines]):
        more = byte_length(line) + (1 if number else 0)
        if size + more > max_bytes:
            return lines[:number], size, "bytes"
        size += more
    return lines[:max_lines], size, "lines"


def _end_of(line: str, max_bytes: int) -> str:
    """The end of a line that fits, cut between characters."""
    data = line.encode("utf-8", "surrogatepass")
    return data[max(0, len(data) - max_bytes) :].decode("utf-8", "ignore") if max_bytes > 0 else ""
