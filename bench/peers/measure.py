"""One measurement: N agents of one contender do their jobs, and all of them are looked at in the middle of it."""

import asyncio
import contextlib
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
from bench.peers.groups import Group, children_cpu_seconds
from bench.peers.memory import pss_megabytes
from bench.peers.server import State
from bench.peers.stage import CALLS, ROOT, TURNS, Contender, Stage, make_repository, make_worktrees

MARKER: Final = "hello"
_POLL_SECONDS: Final = 0.1
_THINKING_SECONDS: Final = 2.5
"""How long all agents wait for their model before they are looked at, as they do most of their lives."""
_GRACE_SECONDS: Final = 5.0
"""After a death for want of memory the others may say that they failed."""
_numbers = itertools.count()


class Measured(msgspec.Struct):
    """What came of it. Figures count only when `failed` is 0.

    Attributes:
        contender: its key.
        number: agents at the same time.
        failed: jobs that were not done; a job is done when its contender says so and the model saw all of it.
        why: what went wrong; empty for nothing.
        pss_mb: of all processes while every agent was in the middle of its job (see `memory`); 0 for not seen.
        processes: that there were then.
        cpu_seconds: user and system time of everything, from the start to the end.
        start_seconds: from the start to the first model call.
        active_seconds: from the start to the moment when all agents had called their model.
        wall_seconds: from the start to the end, without the time in which they were held to be looked at.
        memory_kills: processes that the kernel ended for want of memory.
        worktree_cpu_ms: what `git worktree add` took for each agent; not in `cpu_seconds`, since we did it. 0 for those who
            make their own, which is in `cpu_seconds`.
    """

    contender: str
    number: int
    failed: int = 0
    why: str = ""
    pss_mb: float = 0.0
    processes: int = 0
    cpu_seconds: float = 0.0
    start_seconds: float = 0.0
    active_seconds: float = 0.0
    wall_seconds: float = 0.0
    memory_kills: int = 0
    worktree_cpu_ms: float = 0.0

    @property
    def calls(self) -> int:
        """Model calls of the jobs."""
        return self.number * CALLS


async def measure(
    contender: Contender, number: int, *, limit: int = 0, patience: float, delay: float = 0.0
) -> Measured:
    """Let N agents do their jobs once.

    Args:
        contender: who.
        number: how many agents.
        limit: bytes of memory for all; 0 for no bound.
        patience: seconds that everything may take; what is not done then has failed.
        delay: seconds that the model thinks before each reply.

    Raises:
        OSError: no memory bound can be set here.
    """
    with tempfile.TemporaryDirectory(prefix="kugetsu-peers-", ignore_cleanup_errors=True) as scratch:
        home = Path(scratch)
        repo = make_repository(home / "repo")
        spent = children_cpu_seconds()
        worktrees = [] if contender.own_worktrees else make_worktrees(repo, home / "trees", number)
        spent = children_cpu_seconds() - spent
        async with gate_server(home, number, delay) as base_url:
            with contextlib.closing(Group(f"kugetsu-bench-{os.getpid()}-{next(_numbers)}", limit)) as group:
                stage = Stage(number, home, repo, base_url, group, worktrees)
                await contender.prepare(stage)
                measured = await _Measurement(contender, stage, bounded=bool(limit)).run(patience)
        measured.worktree_cpu_ms = spent * 1000 / len(worktrees) if worktrees else 0.0
        return measured


class _Measurement:
    def __init__(self, contender: Contender, stage: Stage, *, bounded: bool) -> None:
        self._contender = contender
        self._stage = stage
        self._bounded = bounded
        self._measured = Measured(contender.key, stage.number)
        self._address = stage.base_url.removesuffix("/v1") + "/bench"

    async def run(self, patience: float) -> Measured:
        """Start it, look at it, and account for it."""
        stage, measured = self._stage, self._measured
        begun, spent = time.monotonic(), stage.group.cpu_seconds()
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
            watch = group.create_task(self._watch(session))
            try:
                async with asyncio.timeout(patience):
                    await self._contender.run(stage)
            except TimeoutError:
                measured.why = f"not done after {patience:g} seconds"
            except (OSError, ValueError, EOFError, aiohttp.ClientError) as error:
                measured.why = f"{type(error).__name__}: {error}"
            finally:
                watch.cancel()
            ended = time.monotonic()
            state = await self._state(session)
        measured.cpu_seconds = stage.group.cpu_seconds() - spent
        measured.memory_kills = stage.group.memory_kills()
        self._account(state, await self._contender.done(stage), begun, ended)
        return measured

    def _account(self, state: State, said: int, begun: float, ended: float) -> None:
        measured, number = self._measured, self._stage.number
        measured.failed = max(0, number - min(said, state.finished - state.lost))
        held = state.opened - state.full if state.full and state.opened else 0.0
        measured.wall_seconds = ended - begun - held
        measured.start_seconds = state.first - begun if state.first else 0.0
        measured.active_seconds = state.last_begun - begun if state.last_begun else 0.0
        if measured.memory_kills:
            measured.why = f"{measured.memory_kills} killed for want of memory"
        elif not measured.why and number and not state.full:
            measured.why = f"never were all {number} at work at once"
        elif not measured.why and measured.failed:
            lost = f", {state.lost} of them without the output of a command" if state.lost else ""
            said_and_seen = f"says {said} done, the model saw the end of {state.finished}{lost}"
            measured.why = "; ".join(filter(None, [said_and_seen, self._stage.complaints()]))
        if measured.why and not measured.failed:
            measured.failed = 1 if number else 0

    async def _watch(self, session: aiohttp.ClientSession) -> None:
        """Look at all agents once each is in the middle of its job, then let them go on; give up when one was killed."""
        while self._stage.number:
            state = await self._state(session)
            if state.full:
                await self._look()
                break
            if self._bounded and self._stage.group.memory_kills():
                await asyncio.sleep(_GRACE_SECONDS)
                self._stage.group.end()
                break
            await asyncio.sleep(_POLL_SECONDS)
        async with session.post(f"{self._address}/open"):
            pass

    async def _look(self) -> None:
        """Take the memory; a bounded run has its answer without."""
        if self._bounded:
            return
        await asyncio.sleep(_THINKING_SECONDS)
        pids = self._stage.group.pids()
        try:
            self._measured.pss_mb, self._measured.processes = pss_megabytes(pids), len(pids)
        except PermissionError as error:
            self._measured.why = f"memory cannot be read, root may: {error}"

    async def _state(self, session: aiohttp.ClientSession) -> State:
        async with session.get(f"{self._address}/state") as response:
            return msgspec.json.decode(await response.read(), type=State)


@contextlib.asynccontextmanager
async def gate_server(home: Path, number: int, delay: float) -> AsyncIterator[str]:
    """Run the scripted server in a process of its own; gives its base URL."""
    usage = {"input": 1000, "output": 50}
    arguments = {"command": f"echo {MARKER}"}
    turn = {"text": "Next.", "tool_calls": [{"name": "bash", "arguments": arguments}], "usage": usage, "delay": delay}
    script = home / "script.json"
    script.write_text(json.dumps({"turns": [*[turn] * TURNS, {"text": "All done.", "usage": usage, "delay": delay}]}))
    command = ("-m", "bench.peers.server", "--script", str(script), "--gate", str(number), "--marker", MARKER)
    server = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    try:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{json.loads(await server.stdout.readline())['port']}/v1"
    finally:
        with contextlib.suppress(ProcessLookupError):
            server.terminate()
        await server.wait()
