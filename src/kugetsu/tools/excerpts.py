"""Matching lines as they are shown: `path:line: text`, and lines around them as `path-line- text`."""

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from kugetsu.tools.engines import Hit
from kugetsu.tools.terminal import without_controls

GROUPS: Final = "\n--\n"
"""Stands between stretches of lines that do not touch, when lines around matches are shown."""

LINE_CUT: Final = "... [truncated]"
"""Ends a line that was cut."""

_LINE_CHARACTERS: Final = 500

_SURROUNDED_BYTES: Final = 16 * 1024 * 1024
"""Largest file from which lines around a match are read."""


def excerpt(path: Path, name: str, hits: Sequence[Hit], around: int) -> str:
    """Show the matches in one file.

    Args:
        path: the file.
        name: the file as it is shown.
        hits: its matches, in order.
        around: lines to show before and after each; none when they cannot be read any more.
    """
    lines = {hit.line: f"{name}:{hit.line}: {_line(hit.text)}" for hit in hits}
    if around:
        wanted = {line for hit in hits for line in range(hit.line - around, hit.line + around + 1)}
        for number, text in _read_lines(path, wanted - lines.keys()):
            lines[number] = f"{name}-{number}- {_line(text)}"
    return _join(lines, GROUPS if around else "\n")


def _join(lines: dict[int, str], between: str) -> str:
    """Lines in order, with something between those that do not follow each other."""
    parts: list[str] = []
    last = None
    for number in sorted(lines):
        if last is not None:
            parts.append("\n" if number == last + 1 else between)
        parts.append(lines[number])
        last = number
    return "".join(parts)


def _read_lines(path: Path, numbers: Iterable[int]) -> list[tuple[int, bytes]]:
    wanted = sorted(numbers)
    try:
        if not wanted or path.stat().st_size > _SURROUNDED_BYTES:
            return []
        with path.open("rb") as file:
            chosen = set(wanted)
            return [(number, line) for number, line in enumerate(islice(file, wanted[-1]), 1) if number in chosen]
    except OSError:
        return []


def _line(data: bytes) -> str:
    data = data.rstrip(b"\r\n")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    text = without_controls(text)
    return text if len(text) <= _LINE_CHARACTERS else text[:_LINE_CHARACTERS] + LINE_CUT
