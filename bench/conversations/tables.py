"""Figures of long conversations as tables."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rich.table import Table

_MANAGEMENTS: Final = {"none": "everything always", "ours": "ours", "pi": "Pi's rule"}
_PART_NAMES: Final = {
    "measure_at_turn_50_ms": "measure a prompt before a call, turn 50",
    "measure_at_turn_200_ms": "measure a prompt before a call, turn 200",
    "measure_at_turn_400_ms": "measure a prompt before a call, turn 400",
    "turn_ms": "a whole turn in which nothing goes",
    "pruning_ms": "what a pruning adds to a turn",
    "decide_pruning_ms": "of that, deciding what goes",
    "compaction_ms": "what a compaction adds, its model call not counted",
    "transcript_of_400_turns_ms": "transcript of 400 turns",
    "decode_log_ms": "decode the log of 500 turns",
    "fold_log_ms": "fold it",
}

Run = Mapping[str, Any]


def all_of(runs: Sequence[Run], prices: Mapping[str, Mapping[str, float]], source: str) -> Iterator[Table]:
    """All tables."""
    yield _runs(runs)
    yield _memory(runs)
    yield _managements(runs)
    yield _prices(prices, source)
    yield _costs(runs, list(prices))
    for run in runs:
        if "parts" in run:
            yield _parts(run["parts"])


def _window(run: Run) -> str:
    tokens = run["window"]
    return f"{tokens // 1_000_000}M" if tokens >= 1_000_000 else f"{tokens // 1000}k"  # noqa: PLR2004 - a million


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title)
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left")
    return table


def _runs(runs: Sequence[Run]) -> Table:
    table = _table(
        "500 turns with outputs of 20 KB: loop, tools, session and store (ms a turn: CPU means, wall medians of 50 turns)",
        "window",
        *("CPU at 50", "at 450", "ratio", "wall at 50", "at 450", "ratio"),
        *("pruned", "compacted", "overflows", "cacheable 200", "of 500", "as the event says"),
    )
    for run in runs:
        ours = run["managements"]["ours"]
        table.add_row(
            _window(run),
            *(f"{run[name]:.2f}" for name in ("early_cpu_ms", "late_cpu_ms", "late_over_early_cpu")),
            *(f"{run[name]:.2f}" for name in ("early_wall_ms", "late_wall_ms", "late_over_early_wall")),
            *(str(number) for number in (ours["prunings"], ours["compactions"], run["overflows"])),
            *(f"{run[name]:.1%}" for name in ("share_of_200_turns", "share_of_500_turns", "share_said_by_event")),
        )
    return table


def _memory(runs: Sequence[Run]) -> Table:
    turns = list(runs[0]["memory_mb"])
    table = _table("Resident memory of the whole process, MB", "window", *turns, "growth 50-500")
    for run in runs:
        found = (f"{run['memory_mb'][turn]:.1f}" for turn in turns)
        table.add_row(_window(run), *found, f"{run['memory_growth_mb']:+.1f}")
    return table


def _managements(runs: Sequence[Run]) -> Table:
    table = _table(
        "The same session under three managements (requests for notes included; they are never cached)",
        "window",
        *("management", "input M", "cached", "output k", "median prompt k", "pruned", "compacted"),
        *("visible at the end", "of the user", "of the agent", "of tools"),
    )
    for window, name, one in _each(runs):
        table.add_row(
            window,
            _MANAGEMENTS[name],
            f"{one['input_tokens'] / 1e6:,.1f}",
            f"{one['cached_share']:.1%}",
            f"{one['output_tokens'] / 1e3:,.0f}",
            f"{one['median_prompt'] / 1e3:,.0f}",
            str(one["prunings"]),
            str(one["compactions"]),
            *(f"{one['visible'][kind]:.1%}" for kind in ("all", "user", "agent", "tools")),
        )
    return table


def _each(runs: Sequence[Run]) -> Iterator[tuple[str, str, Run]]:
    """Every management in every window; sending everything is the same in all of them."""
    yield "any", "none", runs[0]["managements"]["none"]
    for run in runs:
        for name in ("ours", "pi"):
            yield _window(run), name, run["managements"][name]


def _prices(prices: Mapping[str, Mapping[str, float]], source: str) -> Table:
    table = _table(f"US dollars for a million tokens, {source}", "model", *next(iter(prices.values())))
    for name, dollars in prices.items():
        table.add_row(name, *(f"{each:.3f}" for each in dollars.values()))
    return table


def _costs(runs: Sequence[Run], models: list[str]) -> Table:
    table = _table(
        "What the session costs, US dollars (-: the model's window is smaller)", "window", "management", *models
    )
    for window, name, one in _each(runs):
        usd = one["usd"]
        shown = (f"{usd[model]:,.2f}" if model in usd else "-" for model in models)
        table.add_row(window, _MANAGEMENTS[name], *shown)
    return table


def _parts(parts: Mapping[str, float]) -> Table:
    kept = f"{parts['fold_log_turns']:.0f} turns, {parts['fold_log_prunings']:.0f} prunings, "
    kept += f"{parts['fold_log_compactions']:.0f} compactions"
    table = _table(f"CPU of the parts, ms, medians (the log: {kept})", "what", "ms")
    for name, title in _PART_NAMES.items():
        table.add_row(title, f"{parts[name]:.2f}")
    return table
