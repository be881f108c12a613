import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from admission.gate_lab import FINE, GateLab, limits, rounds
from kugetsu.admission import AdmittedCommands, Gate, MachineReader, command_limits
from kugetsu.config import MachineSettings
from kugetsu.processes import Confinement, start_command
from kugetsu.protocols import CommandRoom, Commands, NoLimits, SystemClock, Unlimited


class Rooms:
    """Rooms that are refused for some tasks, and remember which ended."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    @asynccontextmanager
    async def room(self, task: str) -> AsyncIterator[CommandRoom]:
        if task == "unlucky":
            raise OSError("no more groups")
        yield NoLimits()

    async def end(self, task: str) -> bool:
        self.ended.append(task)
        return True


async def test_a_command_has_its_room_once_the_gate_lets_it_in() -> None:
    lab, end, heard = GateLab(commands=1, auto=False), asyncio.Event(), list[str]()
    commands: Commands = AdmittedCommands(lab.gate, Unlimited())

    async def command() -> None:
        async with commands.room("late", heard.append) as room:
            assert room.wrap(["true"]) == ["true"]
            assert lab.gate.status().commands == 1

    async with lab.gate.open(), asyncio.TaskGroup() as group:
        group.create_task(lab.command("early", until=end))
        await rounds(2)
        late = group.create_task(command())
        await rounds()
        assert not late.done()
        lab.clock.advance(1)
        await rounds()
        end.set()
    assert heard == ["all 1 slots for commands are taken (machine.command_slots); 1 waiting"]


async def test_a_machine_that_refuses_a_room_loses_no_slot() -> None:
    lab = GateLab(commands=1)
    commands = AdmittedCommands(lab.gate, Rooms())
    async with lab.gate.open():
        with pytest.raises(OSError, match="no more groups"):
            async with commands.room("unlucky"):
                raise AssertionError("there was a room")
        async with commands.room("lucky"):
            assert lab.gate.status().commands == 1
    assert lab.gate.status().commands == 0


async def test_the_end_of_a_task_is_passed_on() -> None:
    lab, rooms = GateLab(), Rooms()
    await AdmittedCommands(lab.gate, rooms).end("a")
    assert rooms.ended == ["a"]


async def test_real_commands_on_this_machine_run_side_by_side_within_their_slots(tmp_path: Path) -> None:
    clock = SystemClock()
    gate = Gate(limits(commands=3), MachineReader(tmp_path, clock), clock)
    commands = AdmittedCommands(gate, Unlimited())
    # Each counts those that run beside it, by the files that they hold.
    script = (
        "import pathlib, sys, time; here = pathlib.Path(sys.argv[1]); mine = here / sys.argv[2]; mine.touch(); "
        "beside = len(list(here.glob('run-*'))); time.sleep(0.02); mine.unlink(); sys.exit(beside)"
    )

    async def command(number: int) -> int | None:
        async with commands.room(f"task {number % 4}") as room:
            argv = room.wrap([sys.executable, "-S", "-c", script, str(tmp_path), f"run-{number}"])
            async with start_command(argv, cwd=tmp_path, env={}, stdout=2, stderr=2) as running:
                return await running.wait(30)

    async with gate.open(), asyncio.TaskGroup() as group:
        tasks = [group.create_task(command(number)) for number in range(12)]
    beside = [task.result() for task in tasks]
    assert all(number is not None and 1 <= number <= 3 for number in beside), beside
    assert (gate.status().started, gate.status().commands) == (12, 0)
    assert FINE.memory_total != gate.status().machine.memory_total


async def test_a_real_command_runs_within_the_limits_that_were_worked_out(tmp_path: Path) -> None:
    lab = GateLab()
    settings = MachineSettings(command_processes=100, command_cpu_weight=30)
    within = command_limits(settings, lab.gate.limits)
    assert (within.memory_bytes, within.processes, within.cpu_weight) == (500 * 2**20, 100, 30)
    confinement = Confinement.find(tmp_path, within)
    commands: Commands = AdmittedCommands(lab.gate, confinement)
    async with lab.gate.open():
        async with commands.room("a") as room:
            argv = room.wrap(["bash", "-c", "exit 7"])
            async with start_command(argv, cwd=tmp_path, env={}, stdout=2, stderr=2) as running:
                room.entered(running.pid)
                assert await running.wait(30) == 7
                assert await room.excess() == ""
        await commands.end("a")
    await confinement.close()
