"""What the tests of limits share: a program of its own that holds commands to limits."""

import asyncio
import contextlib
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import pytest

from kugetsu.processes import CommandLimits, Confinement, clean_environment, contents_of, memory_file, start_command
from kugetsu.processes.groups import Group, Place
from kugetsu.processes.hierarchies import own_places

MB: Final = 1024 * 1024
ENV: Final = clean_environment(os.environ)
LIMITS: Final = CommandLimits(memory_bytes=120 * MB, processes=60)
KINDS: Final = ("groups", "version 2", "watched")

PROLOGUE: Final = """
import asyncio, concurrent.futures.thread, os, signal, sys
from pathlib import Path
from kugetsu.processes import Confinement, protect_self
from kugetsu.processes.groups import Group, Place
from processes.confined import LIMITS, hog, run

home, here = Path(sys.argv[1]), Path(sys.argv[2])
"""


def hog(megabytes: int, seconds: float = 30) -> str:
    """A command that takes memory and keeps it for a while."""
    script = f"data = b'x' * ({megabytes} << 20); import time; time.sleep({seconds})"
    return shlex.join([sys.executable, "-c", script])


def confinement(kind: str, home: Path, limits: CommandLimits = LIMITS) -> Confinement:
    """One of a kind; the test is skipped where the machine does not allow it.

    Args:
        kind: "groups" is the best that there is, "version 2" finds processes by groups of version 2 and limits nothing by
            them, "watched" has no groups.
        home: the state directory.
        limits: of each command.
    """
    if kind == "watched":
        return Confinement(limits)
    places = None
    if kind == "version 2":
        places = [Place(place.path, place.version) for place in own_places() if place.version == 2]
    found = Confinement.find(home, limits, places)
    if "cgroup" not in found.kind:
        pytest.skip(found.why)
    return found


class Ran(msgspec.Struct, frozen=True):
    """How a command ended; the code is None for one that took too long."""

    code: int | None
    output: str
    excess: str


async def run(
    within: Confinement, script: str, *, task: str = "task", cwd: Path = Path("/"), seconds: float = 30
) -> Ran:
    """Run a script of bash in a room."""
    with memory_file() as out:
        async with within.room(task) as room:
            argv = ["bash", "-c", script]
            async with start_command(argv, cwd=cwd, env=ENV, stdout=out, stderr=out, room=room) as command:
                code = await command.wait(seconds)
            return Ran(code, contents_of(out).decode(), await room.excess())


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def gone(pid: int) -> bool:
    """Whether a process that was killed is gone within a while."""
    for _ in range(500):
        if not alive(pid):
            return True
        await asyncio.sleep(0.01)
    return False


async def pid_in(path: Path) -> int:
    for _ in range(1000):
        if path.exists() and (text := path.read_text().strip()):
            return int(text)
        await asyncio.sleep(0.01)
    raise AssertionError(f"{path} was never written")


def groups_left(home: Path) -> list[str]:
    """The groups that programs of a state directory wrote down and that still exist."""
    traces = home / "groups"
    files = list(traces.iterdir()) if traces.exists() else []
    return [line for file in files for line in file.read_text().splitlines() if Path(line).exists()]


def groups_of_tasks(home: Path) -> list[str]:
    """The groups of commands that programs of a state directory have, each once for every hierarchy."""
    return sorted(path.name for base in groups_left(home) for path in Path(base).iterdir() if path.is_dir())


def start(body: str, home: Path, here: Path) -> subprocess.Popen[str]:
    """A program of its own, which knows its state directory and another one to write to."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    argv = [sys.executable, "-c", PROLOGUE + body, str(home), str(here)]
    return subprocess.Popen(argv, cwd="/", env=environment, stdout=subprocess.PIPE, text=True)


def finished(body: str, home: Path, here: Path) -> list[str]:
    """The lines that a program prints, which ends well."""
    with start(body, home, here) as process:
        try:
            output, _ = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 0
    return output.splitlines()


@contextlib.contextmanager
def outer_group(controller: str) -> Iterator[Place]:
    """A group of version 1 to make others in; the test is skipped where the machine does not allow it."""
    for place in own_places():
        if place.version == 1 and controller in place.controllers:
            group = Path(place.path) / f"kugetsu-test-{os.getpid()}"
            try:
                group.mkdir()
            except OSError:
                continue
            outer = Place(str(group), 1, (controller,))
            yield outer
            assert Group((outer,)).end()
            return
    pytest.skip(f"this machine allows no groups of version 1 with {controller}")
