import asyncio
import os
import shlex
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from kugetsu.processes import CommandLimits, Confinement, clean_environment
from kugetsu.protocols import CommandRoom, Commands, Unlimited
from kugetsu.shadows.check import run_check
from kugetsu.tasks import CheckResult

ENV = clean_environment(os.environ)


class Within:
    """Room within limits, for as many as want it. Implements `Commands`."""

    def __init__(self, confinement: Confinement) -> None:
        self._confinement = confinement
        self.tasks: list[str] = []
        self.free = asyncio.Event()
        self.free.set()

    def room(self, task: str, on_wait: Callable[[str], None] | None = None) -> AbstractAsyncContextManager[CommandRoom]:
        self.tasks.append(task)
        return self._room(task, on_wait)

    @asynccontextmanager
    async def _room(self, task: str, on_wait: Callable[[str], None] | None) -> AsyncIterator[CommandRoom]:
        if on_wait and not self.free.is_set():
            on_wait("full")
        await self.free.wait()
        async with self._confinement.room(task) as room:
            yield room

    async def end(self, task: str) -> bool:
        return await self._confinement.end(task)


@pytest.fixture(params=["groups", "watched"])
async def commands(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Within]:
    limits = CommandLimits(memory_bytes=100 * 1024 * 1024, processes=50)
    within = Confinement.find(tmp_path / "home", limits) if request.param == "groups" else Confinement(limits)
    yield Within(within)
    await within.close()


async def check(command: str, commands: Commands, cwd: Path, seconds: float = 30) -> CheckResult:
    return await run_check(
        command, cwd=cwd, environment=ENV, scratch=cwd, seconds=seconds, commands=commands, task="checked"
    )


async def test_a_check_that_is_killed_for_memory_says_so(commands: Within, tmp_path: Path) -> None:
    hog = shlex.join([sys.executable, "-c", "data = b'x' * (150 << 20); import time; time.sleep(30)"])
    result = await check(f"echo begun; {hog}", commands, tmp_path)
    assert result.passed is False
    assert result.output_tail.startswith("begun\n")
    assert "used more than its 100 MB of memory (`machine.command_mb`)" in result.output_tail
    assert commands.tasks == ["checked"]


async def test_a_check_within_its_limits_passes(commands: Within, tmp_path: Path) -> None:
    result = await check("echo fine", commands, tmp_path)
    assert (result.passed, result.exit_code, result.output_tail) == (True, 0, "fine")


async def test_waiting_for_room_is_not_the_checks_own_time(commands: Within, tmp_path: Path) -> None:
    commands.free.clear()
    waiting = asyncio.create_task(check("echo fine", commands, tmp_path, seconds=0.3))
    await asyncio.sleep(0.6)
    commands.free.set()
    assert (await waiting).passed is True


async def test_a_check_without_limits_runs_as_it_is(tmp_path: Path) -> None:
    assert (await check("exit 4", Unlimited(), tmp_path)).exit_code == 4
