"""Texts short enough for a model's context."""

from datetime import UTC, datetime
from typing import Final

_LINE: Final = 100


def moment(at: float) -> str:
    """A time (seconds since the epoch) in ISO 8601, in UTC, to the second; empty for none, and for one out of range."""
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds") if at > 0 else ""
    except (ValueError, OverflowError, OSError):
        return ""


def cut(text: str, most: int) -> str:
    """The beginning of a text; says how much was left out."""
    return text if len(text) <= most else f"{text[:most]}[... {len(text) - most:,} more characters]"


def tail(text: str, most: int) -> str:
    """The end of a text."""
    return text if len(text) <= most else f"[...]{text[-most:]}"


def one_line(text: str, most: int = _LINE) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(text[: 4 * most].split())
    return line if len(line) <= most else f"{line[: most - 3]}..."
