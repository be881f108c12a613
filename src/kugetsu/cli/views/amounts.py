"""Numbers as people read them, each a few characters wide."""

from datetime import UTC, datetime
from typing import Final

_THOUSAND: Final = 1_000
_MILLION: Final = 1_000_000
_MINUTE: Final = 60
_HOUR: Final = 3_600
_DAY: Final = 86_400
_HUNDRED: Final = 100
_DIME: Final = 0.1
_LEAST_USD: Final = 0.0001


def tokens(count: int) -> str:
    """A number of tokens: `812`, `4.2k`, `123k`, `1.2M`."""
    if count < _THOUSAND:
        return str(count)
    if count < _MILLION - _THOUSAND // 2:
        return _short(count / _THOUSAND, "k")
    return _short(count / _MILLION, "M")


def money(usd: float | None) -> str:
    """US dollars: `$0.0042`, `$1.20`, `$350`; `-` when a price is unknown."""
    if usd is None:
        return "-"
    if 0 < usd < _DIME:
        return f"${usd:.4f}" if usd >= _LEAST_USD else f"<${_LEAST_USD}"
    return f"${usd:.2f}" if usd < _HUNDRED else f"${usd:,.0f}"


def duration(seconds: float) -> str:
    """A time of work: `5ms`, `0.4s`, `12.3s`, `2m05s`, `1h02m`."""
    seconds = max(0.0, seconds)
    if (thousandths := round(seconds * _THOUSAND)) < _HUNDRED:
        return f"{thousandths}ms"
    tenths = round(seconds, 1)
    return f"{tenths:.1f}s" if tenths < _MINUTE else elapsed(tenths)


def elapsed(seconds: float) -> str:
    """The same in whole seconds, for a clock that runs."""
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{whole}s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m{whole % _MINUTE:02}s"
    return f"{whole // _HOUR}h{whole % _HOUR // _MINUTE:02}m"


def age(seconds: float) -> str:
    """How long ago, in its largest unit: `5s`, `3m`, `2h`, `4d`."""
    whole = max(0, int(seconds))
    for size, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "m")):
        if whole >= size:
            return f"{whole // size}{unit}"
    return f"{whole}s"


def time_of_day(at: float) -> str:
    """Local time: `12:01:07`."""
    return _local(at, "%H:%M:%S", "--:--:--")


def date_and_time(at: float) -> str:
    """Local date and time: `2026-01-31 12:01:07`."""
    return _local(at, "%Y-%m-%d %H:%M:%S", "unknown")


def counted(count: int, noun: str) -> str:
    """A number and its noun: `1 commit`, `2 commits`, `1,200 commits`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def turns_to(last: int) -> str:
    """The turns from the first one on: `turn 1`, `turns 1 to 7`."""
    return "turn 1" if last == 1 else f"turns 1 to {last}"


def _short(value: float, unit: str) -> str:
    return f"{value:.1f}{unit}" if round(value, 1) < _HUNDRED else f"{value:.0f}{unit}"


def _local(at: float, pattern: str, unknown: str) -> str:
    try:
        return datetime.fromtimestamp(at, tz=UTC).astimezone().strftime(pattern)
    except (ValueError, OverflowError, OSError):
        return unknown
