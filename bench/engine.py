"""How fast tasks get going: from submission to the first model call, and all interrupted ones after a start.

Run by `run.py` in a process of its own. Store, queue, leases, shadows and git are real; the model only says when it is
asked.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal, get_args

from kugetsu.agent import Hooks, RetryPolicy, Toolbox
from kugetsu.app.tuning import tune_process
from kugetsu.engine import Presences, Worker, this_host
from kugetsu.messages import AssistantMessage, Delta, ReplyEnd, Text, TextDelta, ToolCall, ToolResult, user
from kugetsu.protocols import Claim, ModelInfo, ModelRequest, SystemClock, WorkerInfo, Workspaces
from kugetsu.sessions import Checkpoint, Entry, Finished, Heard, Replied, Started
from kugetsu.shadows import NativeRuntime, Parts, Shadow
from kugetsu.storage import SqlStore
from kugetsu.tasks import Task, new_task_id
from kugetsu.testing import DirectoryWorkspaces
from kugetsu.tools import default_tools
from kugetsu.workspace import GitWorkspaces

Moment = Literal["thinking", "commanding"]
"""What the tasks were doing when their process was killed."""

SUBMISSIONS = 60
PATIENCE_SECONDS = 300
TURNS = 5


class Witness:
    """A model that notes when it is asked, and answers when it may."""

    name = "bench/witness"
    info = ModelInfo(200_000, 8_000)

    def __init__(self) -> None:
        self.asked: dict[str, float] = {}
        self.may_answer = asyncio.Event()
        self.answered = asyncio.Event()

    async def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
        """Note the time, wait, and be done."""
        self.asked.setdefault(request.conversation, time.monotonic())
        await self.may_answer.wait()
        yield TextDelta("done")
        yield ReplyEnd("end")
        self.answered.set()


class Engine:
    """A worker with real parts."""

    def __init__(self, store: SqlStore, home: Path, model: Witness, *, git: bool = True) -> None:
        self.store = store
        self.home = home
        self.model = model
        self.clock = SystemClock()
        self.toolbox = Toolbox(default_tools())
        self.workspaces: Workspaces = (
            GitWorkspaces(home, dict(os.environ)) if git else DirectoryWorkspaces(home / "worktrees")
        )
        self.worker = Worker(store, Presences(home), clock=self.clock)

    def make(self, claim: Claim) -> Shadow:
        """Put the shadow of a task together."""
        task = claim.record.task
        runtime = NativeRuntime(self.model, self.toolbox, clock=self.clock, hooks=Hooks(), retry=RetryPolicy())
        parts = Parts(
            runtime=runtime,
            workspaces=self.workspaces,
            store=self.store,
            clock=self.clock,
            worker=self.worker.ready,
            scratch=self.home / "scratch" / task.id,
            environment=os.environ,
        )
        return Shadow(task, parts, claim)


def make_repository(path: Path) -> Path:
    """A small repository."""
    path.mkdir()
    (path / "a.txt").write_text("hello\n")
    identity = ("-c", "user.name=Bench", "-c", "user.email=bench@example.org")
    for command in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-qm", "first")):
        subprocess.run(["git", *command], cwd=path, check=True)
    return path


def new_task(repo: Path) -> Task:
    """A task of the bench."""
    return Task(id=new_task_id(), prompt="Do it.", repo=str(repo), model=Witness.name, created_at=time.time())


async def measure_latency(home: Path, repo: Path, *, git: bool) -> dict[str, float]:
    """Milliseconds from `submit` to the first model call, of an idle worker; without git a directory is the worktree."""
    store, model = await SqlStore.open(home), Witness()
    model.may_answer.set()
    engine = Engine(store, home, model, git=git)
    waits: list[float] = []
    async with engine.worker.open(), asyncio.TaskGroup() as group:
        group.create_task(engine.worker.serve(engine.make, room=lambda running: 4 - running))
        for _ in range(SUBMISSIONS):
            model.answered.clear()
            task, begun = new_task(repo), time.monotonic()
            await store.submit(task)
            engine.worker.call()
            await model.answered.wait()
            waits.append((model.asked[task.id] - begun) * 1000)
            await asyncio.sleep(0.2)  # so that the worker is idle again
        engine.worker.stop()
    await store.close()
    waits.sort()
    how = "with_git" if git else "without_git"
    return {
        f"submit_to_model_{how}_ms_p50": statistics.median(waits),
        f"submit_to_model_{how}_ms_p95": waits[int(len(waits) * 0.95)],
    }


def interrupted_session(moment: Moment) -> list[Entry]:
    """Some turns, and then the end of the process: while the model was asked, or in the middle of a command."""
    entries: list[Entry] = [Heard(user("Do it."))]
    for turn in range(1, TURNS + 1):
        call = ToolCall(f"c{turn}", "bash", '{"command": "true"}')
        result = ToolResult(call.id, "bash", (Text("x" * 2000),))
        entries += [Replied(turn, AssistantMessage((call,), "tool_calls")), Started(turn, (call.id,))]
        entries += [Finished(turn, result), Checkpoint(turn)]
    if moment == "thinking":
        return entries
    call = ToolCall("last", "bash", '{"command": "true"}')
    return [*entries, Replied(TURNS + 1, AssistantMessage((call,), "tool_calls")), Started(TURNS + 1, (call.id,))]


async def interrupt(number: int, home: Path, repo: Path, moment: Moment) -> None:
    """Leave behind what a daemon leaves that is killed with so many tasks."""
    store, workspaces = await SqlStore.open(home), GitWorkspaces(home, dict(os.environ))
    dead = WorkerInfo(new_task_id(), this_host(), os.getpid(), "dead")
    await store.register(dead, 3600.0)

    async def leave() -> None:
        task = new_task(repo)
        claim = (await store.submit(task, worker=dead.id)).claim
        assert claim is not None
        workspace = await workspaces.create(task)
        await store.place(claim.lease, workspace.place)
        await store.append(claim.lease, interrupted_session(moment))

    for start in range(0, number, 100):
        async with asyncio.TaskGroup() as group:
            for _ in range(start, min(number, start + 100)):
                group.create_task(leave())
    await store.close()


async def measure_restart(number: int, home: Path, repo: Path, moment: Moment) -> dict[str, float]:
    """Seconds from the start of a worker to the moment when every interrupted task has asked its model."""
    await interrupt(number, home, repo, moment)
    tune_process()
    begun, cpu = time.monotonic(), time.process_time()
    store, model = await SqlStore.open(home), Witness()
    engine = Engine(store, home, model)
    async with engine.worker.open(), asyncio.TaskGroup() as group:
        group.create_task(engine.worker.serve(engine.make, room=lambda running: number - running))
        while len(model.asked) < number:
            await asyncio.sleep(0.01)
            if time.monotonic() - begun > PATIENCE_SECONDS:
                raise SystemExit(f"only {len(model.asked)} of {number} tasks go on, so nothing was measured")
        figures = {
            f"restart_{moment}_seconds": max(model.asked.values()) - begun,
            f"restart_{moment}_cpu_seconds": time.process_time() - cpu,
        }
        engine.worker.interrupt()
    await store.close()
    return figures


def main() -> None:
    """Measure once and print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=1_000, help="how many are interrupted")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        repo = make_repository(Path(home) / "repo")
        figures = asyncio.run(measure_latency(Path(home) / "latency", repo, git=True))
        figures |= asyncio.run(measure_latency(Path(home) / "queue", repo, git=False))
        figures["restart_tasks"] = arguments.tasks
        for moment in get_args(Moment):
            figures |= asyncio.run(measure_restart(arguments.tasks, Path(home) / moment, repo, moment))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
