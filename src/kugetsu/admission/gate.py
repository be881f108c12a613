"""The gate that every task and every command of this program passes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from kugetsu.admission.limits import AdmissionLimits
from kugetsu.admission.line import Line, Waiter
from kugetsu.admission.machine import Machine
from kugetsu.admission.rules import InUse, Reason, Refusal, Strain, decide, describe, strain
from kugetsu.concurrency import first_error
from kugetsu.errors import QueueFullError
from kugetsu.protocols import Clock

TICK_SECONDS: Final = 1.0
"""How often it is seen whether the machine has recovered, while somebody waits."""

TELL_SECONDS: Final = 30.0
"""How often those who wait are told why."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How things stand at the gate.

    Attributes:
        tasks: that run, as far as it was told.
        commands: that run.
        waiting: commands that wait for room.
        longest_wait: seconds that the one has waited that waits longest.
        started: commands that were let in since the program started.
        delayed: those of them that had to wait.
        strain: how hard the machine has it: `none`, `slow` (fewer commands at the same time), `hold` (one task and one
            command) or `end` (nothing starts).
        refusal: why no more commands, or no more tasks, start at present; empty when they do.
        machine: the reading that this rests on.
    """

    tasks: int
    commands: int
    waiting: int
    longest_wait: float
    started: int
    delayed: int
    strain: str
    refusal: str
    machine: Machine


class Gate:
    """Lets tasks and commands in while there is room. For one event loop; used inside `open`.

    Args:
        limits: what may be taken.
        read: reads the machine; called often, so it keeps a reading for a while.
        clock: time.
        on_change: told in one sentence whenever the strain on the machine changes; at once, never raises.
    """

    def __init__(
        self,
        limits: AdmissionLimits,
        read: Callable[[], Machine],
        clock: Clock,
        *,
        on_change: Callable[[str], None] = lambda _sentence: None,
    ) -> None:
        self.limits = limits
        self._read = read
        self._clock = clock
        self._on_change = on_change
        self._machine: Machine | None = None
        self._strain = Strain.NONE
        self._line = Line()
        self._somebody_waits = asyncio.Event()
        self._commands = self._started = self._delayed = 0
        self._tasks = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Gate"]:
        """While the block runs, those who wait are let in when the machine recovers. Every command ends before the block."""
        with first_error():
            async with asyncio.TaskGroup() as group:
                tending = group.create_task(self._tend())
                try:
                    yield self
                finally:
                    tending.cancel()

    def tasks_now(self, running: int) -> int:
        """How many more tasks may start now.

        Args:
            running: tasks that run.
        """
        self._tasks = running
        slots, machine = self.limits.task_slots, self._look()  # one reading, since the next one may say something else

        def refused(tasks: int) -> bool:
            return decide("task", InUse(tasks=tasks, before=self._strain), machine, self.limits) is not None

        if running >= slots or refused(running):
            return 0
        if not refused(slots - 1):
            return slots - running
        return next(more for more in range(1, slots - running + 1) if refused(running + more))

    def why_not(self) -> str:
        """Why no task may start now beside those that run, in words; empty when one may."""
        refusal = self._refusal_of_task(self._tasks)
        return refusal.words if refusal else ""

    def require_room_for_task(self, running: int = 0) -> None:
        """Make sure that a task may start that does not come from the queue.

        Args:
            running: tasks that run in this program already.

        Raises:
            QueueFullError: it may not; says why and when to come back.
        """
        if refusal := self._refusal_of_task(running):
            raise QueueFullError(
                f"there is no room for a task: {refusal.words}",
                retry_after=refusal.retry_after,
                fix=_FIXES[refusal.reason],
            )

    @asynccontextmanager
    async def command(self, task: str, on_wait: Callable[[str], None] | None = None) -> AsyncIterator[None]:
        """Wait until a command of a task may run, each task in its turn, and hold its slot while the block runs.

        Whoever holds a slot must not wait for a second one.

        Args:
            task: whose.
            on_wait: told why there is no room, after a second and then every 30, while it waits. What it raises is raised.
        """
        if self._line or self._refusal_of_command():
            await self._wait(Waiter(task, self._clock.monotonic(), on_wait))
        else:
            self._let_in()
        try:
            yield
        finally:
            self._leave()

    def status(self) -> Status:
        """How things stand. Costs a reading of the machine at most."""
        refusal = self._refusal_of_command() or self._refusal_of_task(self._tasks)
        now = self._clock.monotonic()
        return Status(
            tasks=self._tasks,
            commands=self._commands,
            waiting=len(self._line),
            longest_wait=max((now - waiter.since for waiter in self._line), default=0.0),
            started=self._started,
            delayed=self._delayed,
            strain=self._strain.name.lower(),
            refusal=refusal.words if refusal else "",
            machine=self._look(),
        )

    async def _wait(self, waiter: Waiter) -> None:
        """Stand in the line until it is this one's turn, which takes a slot."""
        self._line.join(waiter)
        self._somebody_waits.set()
        try:
            self._pass()
            await waiter.turn
        except BaseException:
            self._line.leave(waiter)
            if waiter.turn.done() and not waiter.turn.cancelled() and waiter.turn.exception() is None:
                self._leave()  # it was let in at the very moment when it gave up
            raise

    def _let_in(self) -> None:
        self._commands += 1
        self._started += 1

    def _leave(self) -> None:
        self._commands -= 1
        self._pass()

    def _pass(self) -> None:
        """Let in whoever may run now."""
        while self._line and self._refusal_of_command() is None:
            waiter = self._line.take()
            if not waiter.turn.done():  # else it has been cancelled, and is about to leave
                self._let_in()
                self._delayed += 1
                waiter.turn.set_result(None)

    async def _tend(self) -> None:
        """Look at the machine while somebody waits, until this is cancelled."""
        while True:
            await self._somebody_waits.wait()
            while self._line:
                await self._clock.sleep(TICK_SECONDS)
                self._pass()
                self._tell_all()
            self._somebody_waits.clear()

    def _tell_all(self) -> None:
        """Tell those who have heard nothing for long. What one of them raises is its own affair."""
        now = self._clock.monotonic()
        for waiter in [
            waiter
            for waiter in self._line
            if now - waiter.told >= (TELL_SECONDS if waiter.told > waiter.since else TICK_SECONDS)
        ]:
            try:
                self._tell(waiter)
            except Exception as error:  # noqa: BLE001 - it is raised where the waiter waits
                self._line.leave(waiter)
                if not waiter.turn.done():
                    waiter.turn.set_exception(error)

    def _tell(self, waiter: Waiter) -> None:
        waiter.told = self._clock.monotonic()
        if waiter.on_wait:
            refusal = self._refusal_of_command()
            why = refusal.words if refusal else "others come first"
            waiter.on_wait(f"{why}; {len(self._line)} waiting")

    def _refusal_of_command(self) -> Refusal | None:
        machine = self._look()
        return decide("command", InUse(commands=self._commands, before=self._strain), machine, self.limits)

    def _refusal_of_task(self, running: int) -> Refusal | None:
        machine = self._look()
        return decide("task", InUse(tasks=running, before=self._strain), machine, self.limits)

    def _look(self) -> Machine:
        """Read the machine, and remember how hard it has it."""
        machine = self._read()
        if machine is not self._machine:
            self._machine = machine
            before, self._strain = self._strain, strain(machine, self.limits, self._strain)
            if self._strain is not before:
                self._on_change(describe(self._strain, machine, self.limits))
        return machine


_FIXES: Final[dict[Reason, str]] = {
    "slots": "try again when a task has ended, or raise `queue.slots`",
    "memory": "try again later, or end what takes the memory",
    "pressure": "try again later, or end what takes the memory",
    "swap": "try again later, or end what takes the memory",
    "disk": "free some disk, for example with `kugetsu prune`, or lower `disk.least_free_mb`",
}
