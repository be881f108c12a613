"""Times as users write them."""

import re
import time
from datetime import datetime
from typing import Final

import click

_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_SPAN: Final = re.compile(r"(?:\d+(?:\.\d+)?[smhd])+|\d+(?:\.\d+)?", re.ASCII)
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)", re.ASCII)
_LONGEST: Final = 10 * 366 * 86_400


def span(text: str) -> float:
    """A length of time in seconds: `90`, `90s`, `15m`, `1h30m`, `2d`; at most ten years.

    Raises:
        click.BadParameter: it is none.
    """
    seconds = _seconds(text)
    if seconds is None:
        raise click.BadParameter(f"{text!r} is no length of time; write for example 90, 15m, 1h30m or 2d.")
    return seconds


def moment(text: str) -> float:
    """A point in time in seconds since the epoch: ISO 8601, local where it names no zone; or a span from now.

    Raises:
        click.BadParameter: it is neither.
    """
    if (seconds := _seconds(text)) is not None:
        return time.time() + seconds
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(
            f"{text!r} is no time; write for example 2030-01-31T12:00, or 15m for that long from now."
        ) from error


def _seconds(text: str) -> float | None:
    if not _SPAN.fullmatch(text):
        return None
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    return seconds if seconds <= _LONGEST else None
