"""The tables, and what was aimed at."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from bench.peers.cap import LIMIT, Capacity
from bench.peers.measure import Measured
from bench.peers.stage import CALLS, TURNS
from rich.table import Table

FEW, MANY = 10, 500
"""Between these numbers of agents one more is priced."""
_MOST_MARGINAL_MB: Final = 0.3
_LEAST_IN_LIMIT: Final = 500
_MOST_GROWTH: Final = 1.3
_IN_PROCESS: Final = ("pi-core", "pi-sdk")
_UNKNOWN: Final = "not measured"


class Report(msgspec.Struct):
    """All figures of one run.

    Attributes:
        machine: where.
        versions: of everybody.
        errors: by contender: why there is no figure.
        idle: starts of shared processes without any agent.
        measured: with agents.
        capacities: with bounded memory.
    """

    machine: dict[str, str]
    versions: dict[str, str]
    errors: dict[str, str] = {}
    idle: list[Measured] = []
    measured: list[Measured] = []
    capacities: list[Capacity] = []

    @property
    def failed(self) -> bool:
        """Whether some figure is missing that was asked for."""
        unbounded = any(capacity.error for capacity in self.capacities)
        return bool(self.errors) or unbounded or any(measured.failed for measured in [*self.idle, *self.measured])

    def good(self, key: str, number: int) -> Measured | None:
        """A measurement in which no job failed."""
        found = (measured for measured in self.measured if (measured.contender, measured.number) == (key, number))
        return next((measured for measured in found if not measured.failed), None)

    def idle_cpu(self, key: str) -> float | None:
        """CPU seconds of a start without agents; 0 where every agent is a process. None: it failed."""
        started = [measured for measured in self.idle if measured.contender == key]
        return 0.0 if not started else None if started[0].failed else started[0].cpu_seconds

    def cpu_ms(self, key: str, number: int) -> float | None:
        """CPU milliseconds of a model call with its command, the start of a shared process left out."""
        measured, idle = self.good(key, number), self.idle_cpu(key)
        if measured is None or idle is None:
            return None
        return (measured.cpu_seconds - idle) * 1000 / measured.calls

    def marginal(self, key: str) -> tuple[float, int, int] | None:
        """MB of one more agent in a shared process, and between which numbers: the largest, and the smallest from ten."""
        shared = any(measured.contender == key for measured in self.idle)
        good = sorted(m.number for m in self.measured if m.contender == key and not m.failed and m.number >= FEW)
        few, many = (self.good(key, number) for number in (good[0], good[-1])) if good else (None, None)
        if not shared or few is None or many is None or few.number == many.number:
            return None
        return (many.pss_mb - few.pss_mb) / (many.number - few.number), few.number, many.number


def figures_table(report: Report, titles: dict[str, str]) -> Table:
    """Everything that was measured; where jobs failed there is no figure."""
    table = Table(title=f"N jobs of {TURNS} bash turns ({CALLS} model calls), all at once")
    table.add_column("what")
    for name in ("N", "PSS MB", "each", "one more", "CPU ms/call", "+ start", "first call s", "all s", "wall s"):
        table.add_column(name, justify="right")
    table.add_column("failed")
    for key, error in report.errors.items():
        table.add_row(titles[key], *["-"] * 9, f"ERROR: {error}")
    shown = ""
    for measured in report.measured:
        if measured.contender != shown:
            table.add_section()
            shown = measured.contender
        table.add_row(titles[shown], f"{measured.number:,}", *_figures(report, measured), _failures(measured))
    if given := [measured.worktree_cpu_ms for measured in report.measured if measured.worktree_cpu_ms]:
        table.caption = (
            "CPU of kugetsu holds making, keeping, delivering and removing worktrees. Peers are given theirs, "
            f"which took {statistics.median(given):.0f} ms of CPU each that nobody is charged with."
        )
    return table


def _figures(report: Report, measured: Measured) -> Sequence[str]:
    if measured.failed:
        return ["-"] * 8
    key, number = measured.contender, measured.number
    cpu, marginal = report.cpu_ms(key, number), report.marginal(key)
    return (
        f"{measured.pss_mb:,.0f}",
        f"{measured.pss_mb / number:,.2f}",
        f"{marginal[0]:.3f}" if marginal and marginal[2] == number else "",
        "-" if cpu is None else f"{cpu:,.1f}",
        f"{measured.cpu_seconds * 1000 / measured.calls:,.1f}",
        f"{measured.start_seconds:.2f}",
        f"{measured.active_seconds:.2f}",
        f"{measured.wall_seconds:.1f}",
    )


def _failures(measured: Measured) -> str:
    return f"{measured.failed} of {measured.number}: {measured.why}" if measured.failed else "0"


def capacity_table(report: Report, titles: dict[str, str]) -> Table:
    """Who fits into how much."""
    table = Table(title=f"All jobs done, all agents at work at once, within {LIMIT // 1024**2:,} MiB")
    table.add_column("what")
    table.add_column("largest N", justify="right")
    table.add_column("tried")
    for capacity in report.capacities:
        largest = "-" if capacity.error else f"{'' if capacity.bounded else '>= '}{capacity.largest:,}"
        tried = [f"{m.number:,}: {m.why or 'failed' if m.failed else 'done'}" for m in capacity.tried]
        table.add_row(
            titles[capacity.contender], largest, f"ERROR: {capacity.error}" if capacity.error else "; ".join(tried)
        )
    return table


@dataclass(frozen=True)
class _Target:
    what: str
    found: Callable[[Report], tuple[float, float, str] | None]
    """The figure, what it may be at most, and how both are shown; None: not measured."""


def targets_table(report: Report) -> Table:
    """What was aimed at, and whether it is met."""
    table = Table(title="Targets")
    for name in ("what", "found", "met"):
        table.add_column(name)
    for target in _TARGETS:
        found = target.found(report)
        shown, met = (_UNKNOWN, "?") if found is None else (found[2], "yes" if found[0] <= found[1] else "NO")
        table.add_row(target.what, shown, met)
    return table


def _marginal(report: Report) -> tuple[float, float, str] | None:
    ours = report.marginal("ours")
    return ours and (ours[0], _MOST_MARGINAL_MB, f"{ours[0]:.3f} MB (from {ours[1]} to {ours[2]})")


def _marginal_of_peers(report: Report) -> tuple[float, float, str] | None:
    ours = report.marginal("ours")
    peers = {key: found for key in _IN_PROCESS if (found := report.marginal(key))}
    if ours is None or not peers:
        return None
    shown = ", ".join(f"{key} {found[0]:.3f} (from {found[1]} to {found[2]})" for key, found in peers.items())
    return ours[0], min(found[0] for found in peers.values()), f"{ours[0]:.3f} MB; {shown}"


def _capacity(report: Report) -> tuple[float, float, str] | None:
    ours = next((c for c in report.capacities if c.contender == "ours" and not c.error), None)
    if ours is None:
        return None
    return -ours.largest, -_LEAST_IN_LIMIT, f"{'' if ours.bounded else '>= '}{ours.largest:,}"


def _cpu_of_peers(report: Report) -> tuple[float, float, str] | None:
    """At the largest number that all have in common."""
    keys = ("ours", *_IN_PROCESS)
    both = [number for number in _numbers(report) if all(report.cpu_ms(key, number) is not None for key in keys)]
    if not both:
        return None
    costs = {key: report.cpu_ms(key, both[-1]) or 0.0 for key in keys}
    shown = ", ".join(f"{key} {cost:.1f}" for key, cost in costs.items())
    return costs.pop("ours"), min(costs.values()), f"{shown} ms at {both[-1]}"


def _growth(report: Report) -> tuple[float, float, str] | None:
    few, many = (report.cpu_ms("ours", number) for number in (FEW, MANY))
    if not few or not many:
        return None
    return many / few, _MOST_GROWTH, f"{many / few:.2f} ({few:.1f} and {many:.1f} ms)"


def _numbers(report: Report) -> list[int]:
    return sorted({measured.number for measured in report.measured})


_TARGETS: Final = (
    _Target(f"ours: memory of one more active shadow <= {_MOST_MARGINAL_MB} MB", _marginal),
    _Target("... and below in-process Pi in the same run", _marginal_of_peers),
    _Target(f"ours: >= {_LEAST_IN_LIMIT} shadows in {LIMIT // 1024**2:,} MiB, no job failed", _capacity),
    _Target("ours: CPU per model call with bash <= in-process Pi", _cpu_of_peers),
    _Target(f"ours: CPU per call at {MANY} <= {_MOST_GROWTH} x that at {FEW}", _growth),
)
