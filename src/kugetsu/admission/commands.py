"""Commands of agents: let in by the gate, then held to limits of their own."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from kugetsu.admission.gate import Gate
from kugetsu.admission.limits import AdmissionLimits
from kugetsu.config import MachineSettings
from kugetsu.processes import CommandLimits
from kugetsu.protocols import CommandRoom


class Rooms(Protocol):
    """Gives each command limits of its own, at once. `processes.Confinement` is one, `protocols.Unlimited` another."""

    def room(self, task: str) -> AbstractAsyncContextManager[CommandRoom]:
        """Hold a command of a task to its limits; raises OSError when the machine refuses."""
        ...

    async def end(self, task: str) -> bool:
        """Kill whatever still runs of a task's commands. May be called twice."""
        ...


class AdmittedCommands:
    """Room for commands while the machine has some. Implements `protocols.Commands`.

    Args:
        gate: says who may run now.
        rooms: holds those that run to their limits.
    """

    def __init__(self, gate: Gate, rooms: Rooms) -> None:
        self._gate = gate
        self._rooms = rooms

    @asynccontextmanager
    async def room(self, task: str, on_wait: Callable[[str], None] | None = None) -> AsyncIterator[CommandRoom]:
        """Wait until a command of a task may run, see `Gate.command`, and hold the room while the block runs.

        Raises:
            OSError: the machine refused.
        """
        async with self._gate.command(task, on_wait), self._rooms.room(task) as room:
            yield room

    async def end(self, task: str) -> bool:
        """Kill whatever still runs of a task's commands, however it hides, and forget the task. May be called twice."""
        return await self._rooms.end(task)


def command_limits(settings: MachineSettings, limits: AdmissionLimits) -> CommandLimits:
    """What one command may take, by the settings and by what was worked out of them."""
    return CommandLimits(
        memory_bytes=limits.command_bytes,
        processes=settings.command_processes,
        cpu_weight=settings.command_cpu_weight,
    )
