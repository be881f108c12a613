"""What all tasks together may use up, and what they did."""

import math
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

_MOST: Final = 10**15
"""More than this is not told apart, so that everything can be added up."""

_ROUNDING: Final = 1e-9
"""Sums of fractions may be so much off."""


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may be used up in one day. 0 means no limit.

    Attributes:
        usd: money for model calls; a model whose price is unknown is not counted.
        tokens: input and output of model calls.
        turns: model replies.
        seconds: time of runs, added up.
    """

    usd: float = 0.0
    tokens: int = 0
    turns: int = 0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        for field in self.__struct_fields__:
            if not 0 <= getattr(self, field) < math.inf:
                raise ValueError(f"`{field}` must be 0 (no limit) or more, got {getattr(self, field)}")

    @property
    def limited(self) -> bool:
        """Whether there is any limit in it."""
        return self != Budget()


class Spent(msgspec.Struct, frozen=True):
    """What was used up, or may be; the fields of `Budget`."""

    usd: float = 0.0
    tokens: int = 0
    turns: int = 0
    seconds: float = 0.0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(
            self.usd + other.usd, self.tokens + other.tokens, self.turns + other.turns, self.seconds + other.seconds
        )

    @property
    def sound(self) -> "Spent":
        """The same, as it can be added up: what is below 0, or no number, counts as nothing."""
        usd, seconds = min(max(0.0, self.usd), _MOST), min(max(0.0, self.seconds), _MOST)
        return Spent(usd, min(max(0, self.tokens), _MOST), min(max(0, self.turns), _MOST), seconds)


class Budgets(msgspec.Struct, frozen=True):
    """The budgets that one task falls under.

    Attributes:
        day: that of all tasks together.
        repository: that of its repository.
    """

    day: Budget = Budget()
    repository: Budget = Budget()

    @property
    def limited(self) -> bool:
        """Whether there is any limit in them."""
        return self.day.limited or self.repository.limited


class Account(msgspec.Struct, frozen=True):
    """One budget, and what is gone of it today.

    Attributes:
        of: whose it is, in words.
        used: what was used up.
        aside: what other runs have set aside.
    """

    of: str
    budget: Budget
    used: Spent = Spent()
    aside: Spent = Spent()


def shared(least: Spent, most: Spent, accounts: Iterable[Account]) -> tuple[Spent | None, str]:
    """What a run may set aside of budgets that others use too.

    Args:
        least: less than this is of no use.
        most: more than this is not needed.
        accounts: all that must have room.

    Returns:
        What it may, None for nothing; and which budget has no room, in words, empty when there would be room without what
        others have set aside.
    """
    granted = {field: max(getattr(least, field), getattr(most, field)) for field in Spent.__struct_fields__}
    for account, field, limit, used in _limited(accounts := tuple(accounts)):
        needed = getattr(least, field)
        if needed > limit - used + _ROUNDING or used >= limit:
            return None, _no_room(account.of, field, limit, used, needed)
        granted[field] = min(granted[field], max(needed, limit - used))
    for account, field, limit, used in _limited(accounts):
        if granted[field] > limit - used - getattr(account.aside, field) + _ROUNDING:
            return None, ""  # what others set aside and do not need comes back soon; a remainder would be of little use
    return Spent(**granted), ""


def _limited(accounts: Iterable[Account]) -> Iterator[tuple[Account, str, float, float]]:
    """Every limit, with its field and what was used up of it."""
    for account in accounts:
        for field in Spent.__struct_fields__:
            if limit := getattr(account.budget, field):
                yield account, field, limit, getattr(account.used, field)


def _no_room(of: str, field: str, limit: float, used: float, needed: float) -> str:
    return (
        f"today's budget of {_amount(field, limit)} for {of} has no room: {_amount(field, used)} are used up,"
        f" and the next step may take {_amount(field, needed)}"
    )


def _amount(field: str, value: float) -> str:
    digits = f"{value:,.4f}".rstrip("0").rstrip(".")
    return f"{digits} {'USD' if field == 'usd' else field}"


def day_of(now: float) -> str:
    """The day (UTC) of a moment, as `2026-01-31`."""
    return datetime.fromtimestamp(now, UTC).date().isoformat()


def next_day(now: float) -> float:
    """When the next day (UTC) begins; both in seconds since the epoch."""
    day = datetime.fromtimestamp(now, UTC).date() + timedelta(days=1)
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
