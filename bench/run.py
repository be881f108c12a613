"""All measurements: printed as tables, and written as JSON to `bench/results/latest.json`. Takes about six minutes.

A measurement whose tasks failed ends everything with an error: there is no figure without the work behind it.
"""

import contextlib
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "latest.json"
TURNS = 5
NUMBERS = (1, 100, 500)
HELP_RUNS = 9

SCRIPTS: dict[str, dict[str, Any]] = {
    "no-op tool, short history": {"name": "nothing", "arguments": {}},
    "no-op tool, 100 KB history": {"name": "nothing", "arguments": {"kilobytes": 20}},
    "bash, short history": {"name": "bash", "arguments": {"command": "echo hello"}},
}

TARGETS = {
    ("no-op tool, short history", 100, "cpu_ms_per_call"): 1.5,
    ("no-op tool, short history", 500, "marginal_mb_per_shadow"): 0.15,
    ("no-op tool, 100 KB history", 500, "marginal_mb_per_shadow"): 0.4,
    ("bash, short history", 100, "total_cpu_ms_per_call"): 6.0,
}

QUEUE_TARGETS = {
    "submit_to_model_with_git_ms_p50": 20.0,
    "submit_to_model_without_git_ms_p50": 20.0,
    "restart_thinking_seconds": 3.0,
    "cpu_ms_per_commit": 0.6,
    "cpu_at_turn_500_over_turn_5": 1.3,
    "claim_with_100000_over_10": 2.0,
}

GATEWAY_TARGETS = {
    "answered_5xx": 0.0,
    "connections_broken": 0.0,
    "events_lost": 0.0,
    "events_doubled": 0.0,
    "accepted_tasks_lost": 0.0,
    "read_ms_p95": 50.0,
}

CONTEXT_TARGETS = {
    "memory_growth_after_turn_50_mb": 4.0,
    "cpu_at_turn_450_over_turn_50": 1.5,
    "wall_at_turn_450_over_turn_50": 1.5,
    "overflows": 0.0,
    "uncacheable_share_of_200_turns_in_128k": 0.1,
}

WORKSPACE_FIGURES = {
    "make a workspace": "create_ms",
    "commit, prove, deliver and remove it": "commit_prove_deliver_remove_ms",
    "find it again": "reopen_ms",
    "snapshot, nothing changed": "snapshot_unchanged_ms",
    "snapshot, one file changed": "snapshot_one_changed_ms",
    "snapshot, 100 files changed": "snapshot_hundred_changed_ms",
    "put 100 files back": "restore_hundred_ms",
}


@contextlib.contextmanager
def scripted_server(call: dict[str, Any]) -> Iterator[str]:
    """Run the scripted server in a process of its own; gives its base URL."""
    usage = {"input": 1000, "output": 50}
    turns = [{"text": "Next.", "tool_calls": [call], "usage": usage}] * TURNS
    with tempfile.NamedTemporaryFile("w", suffix=".json") as script:
        json.dump({"turns": [*turns, {"text": "All done.", "usage": usage}]}, script)
        script.flush()
        command = [sys.executable, "-m", "kugetsu.testing.server", "--script", script.name, "--order", "conversation"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{json.loads(server.stdout.readline())['port']}/v1"
        finally:
            server.terminate()
            server.wait()


def run_json(*command: str, show: bool = False) -> dict[str, Any]:
    """Run one measurement in a process of its own and read its figures, the last line; the others can be shown."""
    done = subprocess.run([sys.executable, *command], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"measurement failed, no figures: {' '.join(command)}")
    *lines, last = done.stdout.splitlines()
    if show:
        print(*lines, sep="\n")
    figures: dict[str, Any] = json.loads(last)
    return figures


def measure_shadows(console: Console) -> list[dict[str, Any]]:
    """Every script with every number of shadows."""
    rows = []
    for title, call in SCRIPTS.items():
        with scripted_server(call) as base_url:
            for number in NUMBERS:
                console.print(f"[dim]{title}: {number} shadows ...[/]")
                row = run_json(str(HERE / "shadows.py"), "--shadows", str(number), "--base-url", base_url)
                row["total_cpu_ms_per_call"] = row["cpu_ms_per_call"] + row["children_cpu_ms_per_call"]
                rows.append({"case": title, **row})
    return rows


def measure_help() -> float:
    """CPU seconds of `kugetsu --help`, the median of several runs."""
    seconds = []
    for _ in range(HELP_RUNS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "kugetsu", "--help"], stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(seconds)


def shadow_table(rows: list[dict[str, Any]]) -> Table:
    """The figures of all shadows; those with a target say whether it is met."""
    table = Table(title="Per model call, five turns a shadow, over HTTP")
    for title in ("case", "shadows", "CPU ms", "with children", "peak MB", "MB per shadow", "wall s"):
        table.add_column(title, justify="left" if title == "case" else "right")
    fields = ("cpu_ms_per_call", "total_cpu_ms_per_call", "peak_mb", "marginal_mb_per_shadow", "wall_seconds")
    for row in rows:
        table.add_row(row["case"], str(row["shadows"]), *(figure(row, field) for field in fields))
    return table


def figure(row: dict[str, Any], field: str) -> str:
    """One figure, and its target where it has one."""
    target = TARGETS.get((row["case"], row["shadows"], field))
    value = f"{row[field]:.3f}" if field == "marginal_mb_per_shadow" else f"{row[field]:.2f}"
    return value if target is None else f"{value} ({'<=' if row[field] <= target else 'ABOVE'} {target:g})"


def other_table(workspaces: list[dict[str, Any]], help_seconds: float) -> Table:
    """The figures of start and workspaces."""
    table = Table(title="Start and workspaces (medians)")
    table.add_column("what")
    table.add_column("figure", justify="right")
    table.add_row("kugetsu --help, CPU s (target 0.25)", f"{help_seconds:.3f}")
    for row in workspaces:
        for title, field in WORKSPACE_FIGURES.items():
            table.add_row(f"{title} ({row['files']:,} files), ms", f"{row[field]:.0f}")
    return table


def figure_table(title: str, figures: dict[str, Any], targets: dict[str, float]) -> Table:
    """Some figures; those with a target say whether it is met."""
    table = Table(title=title)
    table.add_column("what")
    table.add_column("figure", justify="right")
    for field, value in figures.items():
        target = targets.get(field)
        judged = "" if target is None else f" ({'<=' if value <= target else 'ABOVE'} {target:g})"
        table.add_row(field.replace("_", " "), f"{value:,.2f}{judged}")
    return table


def main() -> None:
    """Measure everything."""
    console = Console(width=120)
    help_seconds = measure_help()
    workspaces = [run_json(str(HERE / "workspaces.py"), "--files", str(files)) for files in (200, 5_000)]
    console.print("[dim]store and queue ...[/]")
    queue = run_json(str(HERE / "engine.py")) | run_json(str(HERE / "store.py"))
    queue["cpu_at_turn_500_over_turn_5"] = queue["cpu_ms_at_turn_500"] / queue["cpu_ms_at_turn_5"]
    queue["claim_with_100000_over_10"] = queue["claim_ms_with_100000"] / queue["claim_ms_with_10"]
    console.print("[dim]gateway ...[/]")
    gateway = run_json(str(HERE / "gateway.py"))
    console.print("[dim]long conversations ...[/]")
    context = run_json(str(HERE / "context.py"), show=True)
    rows = measure_shadows(console)
    console.print(shadow_table(rows))
    console.print(figure_table("Store and queue", queue, QUEUE_TARGETS))
    console.print(figure_table("Gateway: followers, submissions and reads at once", gateway, GATEWAY_TARGETS))
    console.print(
        figure_table("Long conversations (all figures: bench/results/context.json)", context, CONTEXT_TARGETS)
    )
    console.print(other_table(workspaces, help_seconds))
    RESULTS.parent.mkdir(exist_ok=True)
    machine = {"python": platform.python_version(), "cores": os.cpu_count(), "system": platform.platform()}
    report = {
        "machine": machine,
        "help_cpu_seconds": help_seconds,
        "workspaces": workspaces,
        "queue": queue,
        "gateway": gateway,
        "context": context,
        "shadows": rows,
    }
    RESULTS.write_text(json.dumps(report, indent=2) + "\n")
    console.print(f"Written to {RESULTS.relative_to(HERE.parent)}")


if __name__ == "__main__":
    main()
