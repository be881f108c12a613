"""One measurement: N shadows of five turns against the scripted server. Prints one JSON object; fails if any task did.

Run by `run.py` in a process of its own, so that memory and CPU belong to this measurement alone. Everything of a shadow
is real (loop, wire over HTTP, tools, leases, a durable store) but git: the worktree is a plain directory that nobody
keeps, and `workspaces.py` measures git by itself.
"""

import argparse
import asyncio
import json
import os
import resource
import tempfile
import time
from pathlib import Path

import msgspec

from kugetsu.agent import Hooks, RetryPolicy, Toolbox
from kugetsu.app.tuning import tune_process
from kugetsu.config import ProviderSettings, Settings
from kugetsu.engine import Presences, Worker
from kugetsu.models import Models
from kugetsu.protocols import SystemClock, Tool, ToolContext, ToolOutput
from kugetsu.shadows import NativeRuntime, Parts, Shadow
from kugetsu.storage import SqlStore
from kugetsu.tasks import Task, TaskReport, new_task_id
from kugetsu.testing import DirectoryWorkspace, DirectoryWorkspaces, FunctionTool
from kugetsu.tools import default_tools

TURNS = 5


class Nothing(msgspec.Struct):
    """Arguments of the tool that does nothing."""

    kilobytes: int = 0


async def do_nothing(arguments: Nothing, _context: ToolContext) -> ToolOutput:
    """Return so much text, new each time, as a file that was read would be."""
    return ToolOutput.of(os.urandom(arguments.kilobytes * 512).hex() or "ok")


def make_tools() -> list[Tool]:
    """Give every agent the seven real tools and the one that does nothing."""
    return [FunctionTool("nothing", Nothing, do_nothing), *default_tools()]


class Bare(DirectoryWorkspace):
    """A directory of which no snapshot is taken."""

    async def snapshot(self, turn: int) -> str:
        """Keep nothing."""
        del turn
        return ""


class BareWorkspaces(DirectoryWorkspaces):
    """Makes such directories."""

    async def create(self, task: Task, *, again: bool = False) -> Bare:
        """Make one."""
        made = await super().create(task, again=again)
        return Bare(made.path, made.branch)


def make_shadow(models: Models, worker: Worker, store: SqlStore, home: Path, toolbox: Toolbox) -> Shadow:
    """Put one shadow together, without git."""
    clock = SystemClock()
    task = Task(id=new_task_id(), prompt="Do the five turns.", repo="none", model="bench/m", created_at=clock.now())
    runtime = NativeRuntime(models.open(task.model), toolbox, clock=clock, hooks=Hooks(), retry=RetryPolicy())
    parts = Parts(
        runtime=runtime,
        workspaces=BareWorkspaces(home / "worktrees"),
        store=store,
        clock=clock,
        worker=worker.ready,
        scratch=home / "scratch" / task.id,
        environment=os.environ,
    )
    return Shadow(task, parts)


def cpu_seconds() -> tuple[float, float]:
    """CPU time of this process and of its ended children."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime, children.ru_utime + children.ru_stime


def peak_megabytes() -> float:
    """The most memory this process ever had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def measure(number: int, base_url: str, home: Path) -> dict[str, float]:
    """Run the shadows at the same time and account for them."""
    settings = Settings(providers={"bench": ProviderSettings(base_url=base_url)})
    toolbox, clock = Toolbox(make_tools()), SystemClock()
    store = await SqlStore.open(home)
    worker = Worker(store, Presences(home), clock=clock)
    async with Models(settings, os.environ) as models, worker.open():
        # What is loaded once is not counted.
        await worker.run(make_shadow(models, worker, store, home, toolbox))
        tune_process()
        before, own, children, started = peak_megabytes(), *cpu_seconds(), time.monotonic()
        shadows = [make_shadow(models, worker, store, home, toolbox) for _ in range(number)]
        async with asyncio.TaskGroup() as group:
            runs = [group.create_task(worker.run(shadow)) for shadow in shadows]
        wall = time.monotonic() - started
        own_after, children_after = cpu_seconds()
    await store.close()
    calls = sum(turns_of(run.result()) for run in runs)
    return {
        "shadows": number,
        "model_calls": calls,
        "cpu_ms_per_call": (own_after - own) * 1000 / calls,
        "children_cpu_ms_per_call": (children_after - children) * 1000 / calls,
        "wall_seconds": wall,
        "base_mb": before,
        "peak_mb": peak_megabytes(),
        "marginal_mb_per_shadow": (peak_megabytes() - before) / number,
    }


def turns_of(report: TaskReport) -> int:
    """Count a task's model calls; a failed task has no place in a benchmark."""
    if report.state != "completed" or report.turns != TURNS + 1:
        raise SystemExit(f"a task failed, so nothing was measured: {report.state} {report.outcome}")
    return report.turns


def main() -> None:
    """Measure once and print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--shadows", type=int, required=True)
    parser.add_argument("--base-url", required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        print(json.dumps(asyncio.run(measure(arguments.shadows, arguments.base_url, Path(home)))))


if __name__ == "__main__":
    main()
