"""How long a provider asks to wait, from everywhere providers say it."""

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from kugetsu.models.error_body import ErrorBody

_LONGEST: Final = 31 * 24 * 3600.0
"""Seconds; whoever names more (a month is the longest billing period) is not talking about a wait."""

_EPOCH_SECONDS: Final = 1e9
_EPOCH_MILLISECONDS: Final = 1e12

_MILLISECONDS: Final = ("retry-after-ms", "x-ms-retry-after-ms")
_WAITS: Final = ("retrydelay", "retry_after", "retry_after_seconds", "retry-after", "resets_at", "reset_at")
_RESET: Final = re.compile(r"^(x-ratelimit-reset|ratelimit-reset|anthropic-ratelimit-.*-reset)")

_DURATION: Final = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:([\d.]+)s)?(?:([\d.]+)ms)?")
_UNITS: Final = (86400.0, 3600.0, 60.0, 1.0, 0.001)

_WORDS: Final = re.compile(
    r"(?:try again|retry|wait)(?: in| after)? (?P<number>\d[\d.]*) ?"
    r"(?P<unit>ms|milliseconds?|s|sec|seconds?|minutes?|hours?)\b",
    re.IGNORECASE,
)
_WORD_UNITS: Final = {"ms": 0.001, "milli": 0.001, "min": 60.0, "h": 3600.0, "s": 1.0}
_WORD_DURATION: Final = re.compile(r"(?:try again|retry) in ((?:\d+[dhm])+[\d.]*s?)", re.IGNORECASE)
_REGAIN: Final = re.compile(r"regain access on (\d{4}-\d\d-\d\d) at (\d\d:\d\d) UTC")


def retry_after(headers: Mapping[str, str], body: ErrorBody, now: float) -> float | None:
    """Seconds to wait before the next try, None when the provider names no time.

    Looked at in this order: `retry-after-ms` and `retry-after` (seconds or a date, RFC 9110 section 10.2.3); fields of
    the body (Gemini's `retryDelay`, `retry_after`); its words ("Please try again in 1m2.5s"); the reset headers of
    limits that are used up (OpenAI, Groq, OpenRouter, Anthropic).

    Args:
        headers: names in lower case.
        now: seconds since the epoch. The provider's own `date` header, where there is one, counts instead, so that a
            wrong clock on either side does no harm.
    """
    now = _date(headers.get("date", "")) or now
    for seconds in _said(headers, body, now):
        if seconds is not None and not math.isnan(seconds) and seconds <= _LONGEST:
            return max(0.0, seconds)
    return None


def _said(headers: Mapping[str, str], body: ErrorBody, now: float) -> Iterator[float | None]:
    for name in _MILLISECONDS:
        yield _scaled(headers.get(name, ""), 0.001)
    yield _wait(headers.get("retry-after", ""), now)
    for name in _WAITS:
        yield _wait(body.hints.get(name, ""), now)
    yield _worded(body.message, now)
    yield _reset(headers, now)
    yield _reset(body.hints, now)


def _scaled(text: str, unit: float) -> float | None:
    try:
        return float(text) * unit
    except ValueError:
        return None


def _wait(text: str, now: float) -> float | None:
    """Read seconds, a duration like `1m2.5s`, a time since the epoch in seconds or milliseconds, or a date."""
    number = _scaled(text, 1.0)
    if number is None:
        moment = _date(text)
        return _duration(text) if moment is None else moment - now
    if number >= _EPOCH_MILLISECONDS:
        return number / 1000.0 - now
    return number - now if number >= _EPOCH_SECONDS else number


def _duration(text: str) -> float | None:
    """Read `1m2.5s`, `120ms`, `6h0m0s`: Go's durations, which many providers print."""
    match = _DURATION.fullmatch(text.strip())
    if not match or not any(match.groups()):
        return None
    return sum(unit * (_scaled(part, 1.0) or 0.0) for part, unit in zip(match.groups(), _UNITS, strict=True) if part)


def _date(text: str) -> float | None:
    """Read an HTTP date or an RFC 3339 time; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(text) if "T" in text[8:12] else parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _worded(message: str, now: float) -> float | None:
    if match := _WORD_DURATION.search(message):
        return _duration(match[1].rstrip("."))
    if match := _WORDS.search(message):
        unit = match["unit"].lower()
        scale = next(value for start, value in _WORD_UNITS.items() if unit.startswith(start))
        return _scaled(match["number"].rstrip("."), scale)
    if match := _REGAIN.search(message):
        moment = _date(f"{match[1]}T{match[2]}:00+00:00")
        return None if moment is None else moment - now
    return None


def _reset(fields: Mapping[str, str], now: float) -> float | None:
    """The latest reset among the limits that are used up; limits that do not say what remains count as used up."""
    waits = [
        wait
        for name, value in fields.items()
        if _RESET.match(name) and _used_up(fields, name) and (wait := _wait(value, now)) is not None
    ]
    return max(waits, default=None)


def _used_up(fields: Mapping[str, str], reset: str) -> bool:
    remaining = _scaled(fields.get(reset.replace("reset", "remaining"), "0"), 1.0)
    return remaining is None or remaining <= 0
