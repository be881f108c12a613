"""A gate on a machine that a test decides upon."""

import asyncio
import random

from msgspec.structs import replace

from admission.machine_lab import MIB
from kugetsu.admission import AdmissionLimits, Gate, Machine, make_limits
from kugetsu.config import DiskSettings, MachineSettings, QueueSettings
from kugetsu.testing import FakeClock

FINE = Machine(memory_total=1000 * MIB, memory_available=400 * MIB, cores=2.0, disk_free=10_000 * MIB)
"""Reserve 100 MB, ample 200, last 32."""


def limits(*, commands: int = 4, tasks: int = 20) -> AdmissionLimits:
    return make_limits(MachineSettings(command_slots=commands), QueueSettings(slots=tasks), DiskSettings(), FINE)


class GateLab:
    """A gate and its machine.

    Attributes:
        machine: what is read next.
        gate: the gate; used inside `open`.
        clock: passes while somebody waits.
        running: commands that hold a slot, by task.
        most: the largest number of them so far.
        order: tasks, in the order in which their commands began.
        changes: what was said of the strain.
    """

    def __init__(self, *, commands: int = 4, tasks: int = 20, auto: bool = True) -> None:
        self.machine = FINE
        self.clock = FakeClock(auto=auto)
        self.changes: list[str] = []
        self.gate = Gate(
            limits(commands=commands, tasks=tasks), lambda: self.machine, self.clock, on_change=self.changes.append
        )
        self.running: list[str] = []
        self.order: list[str] = []
        self.most = 0

    def has(self, **changes: float) -> None:
        """Let the machine be as it was, but for something."""
        self.machine = replace(self.machine, **changes)

    async def command(self, task: str, *, until: asyncio.Event | None = None, turns: int = 1) -> None:
        """Run a command of a task until an event, or for some rounds of the event loop."""
        async with self.gate.command(task):
            self.running.append(task)
            self.order.append(task)
            self.most = max(self.most, len(self.running))
            assert len(self.running) <= self.gate.status().commands <= self.gate.limits.command_slots
            try:
                if until:
                    await until.wait()
                for _ in range(turns):
                    await asyncio.sleep(0)
            finally:
                self.running.remove(task)

    @property
    def waiting(self) -> int:
        return self.gate.status().waiting


async def rounds(number: int = 20) -> None:
    """Let everybody do what they can do at once."""
    for _ in range(number):
        await asyncio.sleep(0)


async def cancel_at_random(tasks: list[asyncio.Task[None]], chance: random.Random) -> None:
    """Cancel tasks now and then, in any state, some of them twice."""
    for _ in range(len(tasks)):
        chance.choice(tasks).cancel()
        for _ in range(chance.randrange(3)):
            await asyncio.sleep(0)
