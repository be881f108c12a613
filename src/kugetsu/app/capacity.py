"""What this program may take of its machine: the gate that tasks and commands pass, and the limits of each command."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from kugetsu.admission import AdmissionLimits, AdmittedCommands, Gate, MachineReader, command_limits, make_limits
from kugetsu.config import Settings
from kugetsu.processes import Confinement
from kugetsu.protocols import Clock, CommandRoom


class Capacity:
    """The gate and the limits of commands of one program. Used inside `open`.

    Args:
        settings: how much may be taken.
        home: the state directory.
        clock: time.
        on_change: told in one sentence when the machine gets tight, and when it recovers.

    Attributes:
        gate: lets tasks and commands in.
        commands: gives room to commands of agents.
    """

    def __init__(
        self, settings: Settings, home: Path, clock: Clock, on_change: Callable[[str], None] = lambda _sentence: None
    ) -> None:
        self._home = home
        self._settings = settings.machine
        self._confinement: Confinement | None = None
        reader = MachineReader(home, clock)
        limits = make_limits(settings.machine, settings.queue, settings.disk, reader())
        self.limits: AdmissionLimits = limits
        self.gate = Gate(limits, reader, clock, on_change=on_change)
        self.commands = AdmittedCommands(self.gate, self)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Capacity"]:
        """Be ready while the block runs; in the end no command is left."""
        async with self.gate.open():
            try:
                yield self
            finally:
                if self._confinement:
                    await self._confinement.close()

    @property
    def confinement(self) -> Confinement:
        """What holds commands to their limits; looked for when it is first needed."""
        if self._confinement is None:
            self._confinement = Confinement.find(self._home, command_limits(self._settings, self.limits))
        return self._confinement

    @asynccontextmanager
    async def room(self, task: str) -> AsyncIterator[CommandRoom]:
        """Hold one command of a task to its limits.

        Raises:
            OSError: the machine refused.
        """
        async with self.confinement.room(task) as room:
            yield room

    async def end(self, task: str) -> bool:
        """Kill whatever still runs of a task's commands; whether that is certain. May be called twice."""
        return await self.confinement.end(task)
