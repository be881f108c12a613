"""What is or would be removed from the disk, and what stays, as lines."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from kugetsu.app.clearing import Done
from kugetsu.app.keeping import Item
from kugetsu.app.pruning import Plan
from kugetsu.cli.views.amounts import counted, date_and_time
from kugetsu.cli.views.text import one_line

_UNITS: Final = ("kB", "MB", "GB", "TB")
_THOUSAND: Final = 1_000
_TEN: Final = 10
_LONGEST: Final = 4_000
"""Characters of a command; one that is cut cannot be used."""


def size(count: int | None) -> str:
    """A number of bytes: `0 kB`, `812 kB`, `4.2 MB`, `1.3 GB`; `-` when it is not known."""
    if count is None:
        return "-"
    value, unit = count / _THOUSAND, 0
    while value >= _THOUSAND - 0.5 and unit < len(_UNITS) - 1:
        value, unit = value / _THOUSAND, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit and round(value, 1) < _TEN else f"{value:.0f} {_UNITS[unit]}"


def plan_lines(plan: Plan) -> Iterator[str]:
    """All that would go, and all that would stay, with the reason."""
    going = [item for item in plan.items if item.goes]
    staying = [item for item in plan.items if not item.goes]
    for item in going:
        yield f"would go  {_thing(item)}: {one_line(item.why)}"
    for item in staying:
        yield from _stays(item, item.why, item.holding.command)
    yield f"{counted(len(going), 'thing')} would go, {size(_bytes(going))}. {len(staying)} would stay{_of_all(plan, 0)}."


def done_line(done: Done) -> str:
    """One thing that was to go."""
    if done.gone:
        return f"gone      {_thing(done.item)}: {one_line(done.item.why)}"
    return "\n".join(_stays(done.item, done.why, done.command))


def rest_lines(plan: Plan, done: Sequence[Done]) -> Iterator[str]:
    """What stays though its time may have come, and the sums, after the lines of what was to go."""
    staying = [item for item in plan.items if not item.goes]
    held = [item for item in staying if item.holding.obstacle and not item.holding.needed]
    for item in held:
        yield from _stays(item, item.why, item.holding.command)
    gone = [each.item for each in done if each.gone]
    more = f"; {len(staying) - len(held)} more, see `kugetsu prune --dry-run`" if len(staying) > len(held) else ""
    failed = len(done) - len(gone)
    yield (
        f"{counted(len(gone), 'thing')} gone, {size(_bytes(gone))}. {len(held) + failed} kept for a reason{more}"
        f"{_of_all(plan, _bytes(gone))}."
    )


def _stays(item: Item, why: str, command: str) -> Iterator[str]:
    until = f", goes after {date_and_time(item.until)}" if item.until else ""
    yield f"stays     {_thing(item)}: {one_line(why)}{until}"
    if command:
        yield f"            -> {one_line(command, _LONGEST)}"


def _thing(item: Item) -> str:
    holding = item.holding
    kind = {"unrecorded": "unknown task", "rest": "left-over", "aside": "moved aside", "stranger": "stranger"}
    return f"{size(holding.bytes):>7}  {kind.get(holding.kind, holding.kind)} {one_line(holding.name)}"


def _bytes(items: Iterable[Item]) -> int:
    return sum(item.holding.bytes or 0 for item in items)


def _of_all(plan: Plan, freed: int) -> str:
    if plan.taken is None:
        return ""
    most = f" of {size(plan.rule.most_bytes)}" if plan.rule.most_bytes else ""
    return f"; {size(max(0, plan.taken - freed))}{most} taken"
