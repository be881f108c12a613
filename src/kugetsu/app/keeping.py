"""What of the things on the disk may go, and what stays: the rule, as a pure function of what was found out about them."""

from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec

from kugetsu.config import DiskSettings

Kind = Literal["task", "unrecorded", "mirror", "aside", "scratch", "rest", "stranger"]
"""What a thing is: the worktree and private repository of a task, or of a task that no record knows; the mirror of a remote
repository; a worktree that was moved aside; temporary files of a task; what a killed process left; or nothing of ours."""

DAY: Final = 86_400.0
_GRACE_SECONDS: Final = 3_600.0
"""How long everything of a task stays after its end, merged or not: its user may be about to look."""

_GB: Final = 1_000_000_000


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """A thing on the disk, and what was found out about it.

    Attributes:
        name: the id of the task, or the name of the file.
        paths: what would be removed.
        bytes: what it takes; None when nobody measured it.
        since: when its task ended, or when it was used or changed last; seconds since the epoch, 0 when that does not
            matter.
        needed: by what that is not over, in words; empty when by nothing.
        borrowers: ids of tasks whose private repositories borrow its objects.
        merged: whether the work is on a branch of the user's own.
        wanted: whether the user asked for the worktree to be kept.
        obstacle: what would be lost with it, in words; empty when nothing would, None when nobody looked.
        command: what brings that to the user, or shows it.
    """

    kind: Kind
    name: str
    paths: tuple[str, ...]
    bytes: int | None = None
    since: float = 0.0
    needed: str = ""
    borrowers: tuple[str, ...] = ()
    merged: bool = False
    wanted: bool = False
    obstacle: str | None = None
    command: str = ""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """How long things stay, and how much they may take.

    Attributes:
        keep_seconds: how long what is delivered stays.
        most_bytes: what all together may take; 0 for no limit.
        grace_seconds: how long what is merged stays.
    """

    keep_seconds: float
    most_bytes: int = 0
    grace_seconds: float = _GRACE_SECONDS

    @classmethod
    def of(cls, disk: DiskSettings, days: float | None = None) -> "Rule":
        """The rule that the settings make; `days` takes the place of theirs."""
        keep = (disk.keep_days if days is None else days) * DAY
        return cls(keep_seconds=keep, most_bytes=int(disk.most_gb * _GB), grace_seconds=min(keep, _GRACE_SECONDS))


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """A thing, and what the rule says of it.

    Attributes:
        goes: whether it is to be removed.
        why: in words.
        until: when it goes, if nothing changes; 0 when it goes now, or when that is not a matter of time.
    """

    holding: Holding
    goes: bool
    why: str
    until: float = 0.0


def decide(holdings: Sequence[Holding], rule: Rule, now: float) -> list[Item]:
    """Say of each thing whether it goes, in the order given.

    What belongs to a task that is not over never goes, nor does what is undelivered. What others borrow from goes with the
    last of them. When all together take more than they may, what is delivered goes before its time, the oldest first, then
    mirrors.

    Args:
        holdings: the things. Of one whose `obstacle` is None it is supposed that there is none; whoever removes it looks.
        rule: how long they stay.
        now: seconds since the epoch.
    """
    chosen: dict[int, Item] = {}
    while True:
        gone = _gone(holdings, chosen)
        due = {place: _due(holding, rule, now, gone) for place, holding in enumerate(holdings) if place not in chosen}
        going = {place: item for place, item in due.items() if item.goes}
        going = going or _pressed(holdings, due, chosen, rule)
        if not going:
            return [chosen.get(place) or due[place] for place in range(len(holdings))]
        chosen |= going


def taken(holdings: Iterable[Holding]) -> int:
    """The bytes that things take, as far as they were measured; temporary files of tasks do not count."""
    return sum(holding.bytes or 0 for holding in holdings if holding.kind != "scratch")


def _gone(holdings: Sequence[Holding], chosen: Iterable[int]) -> frozenset[str]:
    """The tasks whose repositories go."""
    return frozenset(holdings[place].name for place in chosen if holdings[place].kind in {"task", "unrecorded"})


def _due(holding: Holding, rule: Rule, now: float, gone: frozenset[str]) -> Item:
    """What is to become of a thing for its own sake."""
    if stays := _standing_reason(holding, gone):
        return Item(holding=holding, goes=False, why=stays)
    match holding.kind:
        case "rest":
            return Item(holding=holding, goes=True, why="a process was killed while it made or removed it")
        case "scratch":
            end = holding.since and holding.since + rule.keep_seconds
            return _timed(holding, "no task needs it", now, end)
        case "task" if holding.merged and not holding.wanted:
            return _timed(holding, "its branch is merged", now, holding.since + rule.grace_seconds)
        case "task":
            return _timed(holding, "delivered", now, holding.since + rule.keep_seconds)
        case "mirror":
            return _timed(holding, "no task needs it", now, holding.since + rule.keep_seconds)
        case _:
            return _timed(holding, "nothing of it is lost", now, holding.since + rule.keep_seconds)


def _standing_reason(holding: Holding, gone: frozenset[str]) -> str:
    """Why a thing stays whatever its age; empty when its age decides."""
    borrowers = [name for name in holding.borrowers if name not in gone]
    if holding.needed:
        return holding.needed
    if borrowers:
        more = f" and {len(borrowers) - 1} more" if len(borrowers) > 1 else ""
        return f"the repository of task {borrowers[0]}{more} borrows its objects"
    return holding.obstacle or ""


def _timed(holding: Holding, why: str, now: float, end: float) -> Item:
    goes = now >= end
    return Item(holding=holding, goes=goes, why=why, until=0.0 if goes else end)


def _pressed(holdings: Sequence[Holding], due: dict[int, Item], chosen: Iterable[int], rule: Rule) -> dict[int, Item]:
    """What goes before its time, because all together take too much: no more than has to."""
    left = taken(holdings) - taken(holdings[place] for place in chosen)
    for kind in ("task", "mirror"):
        # Only what would go in time, and takes something.
        able = [place for place, item in due.items() if item.until and item.holding.kind == kind and item.holding.bytes]
        pressed = {}
        for place in sorted(able, key=lambda place: holdings[place].since):
            if left <= rule.most_bytes or not rule.most_bytes:
                break
            left -= holdings[place].bytes or 0
            why = f"{due[place].why}, and more than {rule.most_bytes / _GB:g} GB are taken"
            pressed[place] = Item(holding=holdings[place], goes=True, why=why)
        if pressed:
            return pressed
    return {}
