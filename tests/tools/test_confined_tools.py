import asyncio
import shlex
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kugetsu.processes import CommandLimits, Confinement
from kugetsu.protocols import CommandRoom, NoLimits
from tools.toolbench import ToolBench

MB = 1024 * 1024
HOG = shlex.join([sys.executable, "-c", "data = b'x' * (150 << 20); import time; time.sleep(30)"])


@pytest.fixture(params=["groups", "watched"])
async def box(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ToolBench]:
    limits = CommandLimits(memory_bytes=100 * MB, processes=50)
    within = Confinement.find(tmp_path / "home", limits) if request.param == "groups" else Confinement(limits)
    box = ToolBench(tmp_path)
    box.room = lambda: within.room("task")
    yield box
    await within.close()


class Noted(NoLimits):
    """Room that tells what it was used for."""

    def __init__(self, told: list[str]) -> None:
        self._told = told

    def wrap(self, argv: Sequence[str | Path]) -> list[str | Path]:
        self._told.append(str(argv[0]))
        return super().wrap(argv)


class OneAtATime:
    """Room for one command."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.wrapped: list[str] = []

    @asynccontextmanager
    async def room(self) -> AsyncIterator[CommandRoom]:
        async with self.lock:
            yield Noted(self.wrapped)


class Full(NoLimits):
    """Room in which everything is killed."""

    def wrap(self, argv: Sequence[str | Path]) -> list[str | Path]:
        return ["bash", "-c", "kill -9 $$", *argv]

    async def excess(self) -> str:
        return "too much memory"


async def test_a_command_that_is_killed_for_memory_says_so(box: ToolBench) -> None:
    shown = await box.failure("bash", command=f"echo begun; {HOG}")
    assert shown.startswith("begun\n")
    assert "SIGKILL (9)" in shown
    assert shown.endswith("used more than its 100 MB of memory (`machine.command_mb`): use less, or take smaller steps")


async def test_a_command_of_which_a_part_is_killed_for_memory_says_so_even_if_it_succeeds(box: ToolBench) -> None:
    shown = await box.failure("bash", command=f"{HOG}; echo over; true")
    assert "used more than its 100 MB of memory" in shown


async def test_in_a_room_commands_and_searches_work_as_ever(box: ToolBench) -> None:
    box.put("a.txt", "one\ntwo\n")
    assert await box.text("bash", command="cat a.txt | wc -l") == "2"
    assert await box.text("grep", pattern="tw[o]") == "a.txt:2: two"
    assert await box.text("grep", pattern="t(?=wo)") == "a.txt:2: two"
    assert "missing closing parenthesis" in await box.refusal("grep", pattern="(")
    box.environment["PATH"] = "/nowhere"
    assert "neither ripgrep nor git" in await box.refusal("grep", pattern="two", path="a.txt")


async def test_waiting_for_room_is_not_the_commands_own_time(tmp_path: Path) -> None:
    box, rooms = ToolBench(tmp_path), OneAtATime()
    box.room = rooms.room
    async with rooms.lock:
        waiting = asyncio.create_task(box.text("bash", command="echo in", timeout=0.3))
        await asyncio.sleep(0.6)
        assert rooms.wrapped == []
    assert await waiting == "in"


async def test_one_room_is_enough_for_a_command_with_a_background_process(tmp_path: Path) -> None:
    box, rooms = ToolBench(tmp_path), OneAtATime()
    box.room = rooms.room
    async with asyncio.timeout(30):
        shown = await box.text("bash", command="sleep 1 & echo ok")
    assert shown.startswith("ok\n\n[A process in the background goes on")
    assert rooms.wrapped == ["bash"]
    assert not rooms.lock.locked()


async def test_a_search_waits_for_room_too(tmp_path: Path) -> None:
    box, rooms = ToolBench(tmp_path), OneAtATime()
    box.room = rooms.room
    box.put("a.txt", "one\n")
    async with rooms.lock:
        waiting = asyncio.create_task(box.text("grep", pattern="one"))
        await asyncio.sleep(0.2)
        assert not waiting.done()
    assert await waiting == "a.txt:1: one"
    assert rooms.wrapped[0] in {"rg", "git"}


async def test_a_search_that_runs_into_a_limit_says_so(tmp_path: Path) -> None:
    @asynccontextmanager
    async def room() -> AsyncIterator[CommandRoom]:
        yield Full()

    box = ToolBench(tmp_path)
    box.put("a.txt", "one\n")
    box.room = room
    assert await box.refusal("grep", pattern="one") == "The search was ended. too much memory"
