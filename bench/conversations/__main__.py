"""All measurements of long conversations, one window after the other: `python bench/context.py`."""

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from bench.conversations import tables
from bench.conversations.prices import source, todays_prices
from rich.console import Console

ROOT: Final = Path(__file__).parents[2]
RESULTS: Final = ROOT / "bench" / "results" / "context.json"
WINDOWS: Final = (64_000, 128_000, 200_000, 1_000_000)
MIDDLE: Final = 128_000
"""The window in which the parts are measured, and whose figures stand for all."""


def measure(window: int) -> dict[str, Any]:
    """One run, in a process of its own.

    Raises:
        SystemExit: it failed; there are no figures then.
    """
    command = [sys.executable, "-m", "bench.conversations.long_run", "--window", str(window)]
    command += ["--parts"] if window == MIDDLE else []
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"measurement failed, no figures: {' '.join(command)}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def headlines(runs: list[dict[str, Any]]) -> dict[str, float]:
    """The figures that have a target."""
    middle = next(run for run in runs if run["window"] == MIDDLE)
    return {
        "memory_growth_after_turn_50_mb": max(run["memory_growth_mb"] for run in runs),
        "cpu_at_turn_450_over_turn_50": max(run["late_over_early_cpu"] for run in runs),
        "wall_at_turn_450_over_turn_50": max(run["late_over_early_wall"] for run in runs),
        "overflows": sum(run["overflows"] for run in runs),
        "uncacheable_share_of_200_turns_in_128k": 1 - middle["share_of_200_turns"],
    }


def main() -> None:
    """Measure everything, show it and keep it."""
    console, begun = Console(width=150), time.monotonic()
    load = os.getloadavg()[0]
    runs = [measure(window) for window in WINDOWS]
    prices = {priced.name: priced.dollars for priced in todays_prices()}
    for table in tables.all_of(runs, prices, source()):
        console.print(table)
    machine = {"python": platform.python_version(), "cores": os.cpu_count(), "load_before": round(load, 2)}
    console.print(f"1-minute load before: {load:.2f}; took {time.monotonic() - begun:.0f} s")
    figures = {
        "machine": machine,
        "headlines": headlines(runs),
        "price_source": source(),
        "usd_per_million_tokens": prices,
        "runs": runs,
    }
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n")
    console.print(f"Written to {RESULTS.relative_to(ROOT)}")
    print(json.dumps(figures["headlines"]))


if __name__ == "__main__":
    main()
