"""The shadow manager: owns every shadow that lives in this program, from its first moment to its last."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from kugetsu.concurrency import finish, first_error
from kugetsu.errors import LeaseLostError
from kugetsu.events import (
    CheckStarted,
    Event,
    QuestionAsked,
    TaskFinished,
    TaskHalted,
    ToolFinished,
    ToolStarted,
    TurnFinished,
    TurnStarted,
    WorkspaceReady,
)
from kugetsu.protocols import Clock, ShadowInfo
from kugetsu.shadows.shadow import Shadow
from kugetsu.tasks import Note, TaskReport

_log = logging.getLogger(__name__)

END_SECONDS: Final = 30.0
"""How long shadows may take to end when their manager ends, before it is said who resists and they are cancelled."""

OnFailure: TypeAlias = Callable[[Exception], Awaitable[None]]
"""Told, inside the shadow's own task, what a spawned shadow could not deal with itself."""


@dataclass
class _Life:
    """A shadow, what it does, and the moment when it is one no longer."""

    shadow: Shadow
    since: float
    turn: int = 0
    doing: str = "beginning"
    calls: dict[str, str] = field(default_factory=dict)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, event: Event) -> None:
        """See what the shadow does."""
        match event:
            case WorkspaceReady():
                self.doing = "ready"
            case TurnStarted():
                self.turn, self.doing = event.turn, "thinking"
                self.calls.clear()
            case ToolStarted():
                self.calls[event.call_id] = event.name
                self.doing = " ".join(dict.fromkeys(self.calls.values()))
            case ToolFinished():
                self.calls.pop(event.call_id, None)
                self.doing = " ".join(dict.fromkeys(self.calls.values())) or "between calls"
            case TurnFinished():
                self.doing = "between turns"
            case CheckStarted():
                self.doing = "checking"
            case QuestionAsked() | TaskHalted() | TaskFinished():
                self.doing = "ending"
            case _:
                pass


class ShadowManager:
    """Spawns, tracks and ends shadows. Used inside `open`; whatever happens, none lives longer than that block.

    Args:
        clock: for the time since when a shadow lives.
        on_end: called whenever one is gone.
    """

    def __init__(self, clock: Clock, on_end: Callable[[], None] = lambda: None) -> None:
        self._clock = clock
        self._on_end = on_end
        self._lives: dict[str, _Life] = {}
        self._spawned: set[asyncio.Task[None]] = set()
        self._group: asyncio.TaskGroup | None = None
        self._winding_down = ""
        self._interrupting = ""
        self._losses = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator["ShadowManager"]:
        """Own shadows while the block runs. In the end those that still live are interrupted, and waited for."""
        with first_error():
            async with asyncio.TaskGroup() as group:
                self._group = group
                try:
                    yield self
                finally:
                    self._group = None
                    await finish(self._end_all())

    def spawn(self, make: Callable[[], Shadow], on_failure: OnFailure) -> None:
        """Let a shadow live in a task of its own. What goes wrong with it, also when it is made, harms no other.

        Args:
            make: makes it.
            on_failure: told of any error that is not in the task's own record.
        """
        if self._group is None:
            raise RuntimeError("the manager is not open")
        task = self._group.create_task(self._supervise(make, on_failure))
        self._spawned.add(task)
        task.add_done_callback(self._forget)

    async def run(self, shadow: Shadow, prompt: str = "") -> TaskReport:
        """Let a shadow live in the caller's task, to its end.

        Raises: as `Shadow.run`.
        """
        async with self._alive(shadow):
            return await shadow.run(prompt)

    def terminate(self, task: str, reason: str = "cancelled by the user") -> bool:
        """End a shadow and its task; what it did is kept on the branch. False when no shadow of the task lives."""
        if life := self._lives.get(task):
            life.shadow.cancel(reason)
        return life is not None

    def find(self, task: str) -> Shadow | None:
        """The shadow of a task that lives."""
        life = self._lives.get(task)
        return life.shadow if life else None

    def list(self) -> list[ShadowInfo]:
        """All shadows that live, the oldest first."""
        return [
            ShadowInfo(task, life.shadow.generation, life.since, life.turn, life.doing)
            for task, life in self._lives.items()
        ]

    @property
    def spawned(self) -> int:
        """How many were spawned and are not gone, also those that are not made yet."""
        return len(self._spawned)

    async def drained(self) -> None:
        """Wait until none is left of those that were spawned."""
        while self._spawned:
            await asyncio.wait(tuple(self._spawned))

    def hear(self, task: str, generation: int, notes: Sequence[Note]) -> Shadow | None:
        """Pass on what users said to a run; gives its shadow, None when it is not the one that lives."""
        shadow = self.find(task)
        if shadow is None or shadow.generation != generation:
            return None
        shadow.hear(notes)
        return shadow

    def wind_down(self, reason: str) -> None:
        """Let all end their turn, those too that come later; their tasks go on later. May be called twice."""
        self._winding_down = reason
        for life in self._lives.values():
            life.shadow.wind_down(reason)

    def interrupt(self, reason: str) -> None:
        """End all at once, those too that come later; their tasks go on later. May be called twice."""
        self._interrupting = reason
        for life in self._lives.values():
            life.shadow.interrupt(reason)

    def lose(self, lost: LeaseLostError) -> None:
        """End all at once that live now, and let them write nothing: somebody else may have their tasks."""
        self._losses += 1
        for life in self._lives.values():
            life.shadow.lose(lost)

    async def flush(self) -> None:
        """Write down events that wait for longer than they should. Raises nothing."""
        waiting = [life.shadow for life in self._lives.values() if life.shadow.has_waiting_events]
        async with asyncio.TaskGroup() as group:
            for shadow in waiting:
                group.create_task(shadow.flush())

    async def _supervise(self, make: Callable[[], Shadow], on_failure: OnFailure) -> None:
        try:
            await self.run(make())
        except Exception as error:  # noqa: BLE001 - a defect in one shadow ends no other
            try:
                await on_failure(error)
            except Exception:  # noqa: BLE001 - as above
                _log.exception("what a shadow left could not be dealt with")

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._spawned.discard(task)
        self._on_end()

    @asynccontextmanager
    async def _alive(self, shadow: Shadow) -> AsyncIterator[None]:
        """While a shadow lives. One whose task was lost here before waits until its predecessor is gone."""
        losses = self._losses
        while before := self._lives.get(shadow.task.id):
            await before.gone.wait()
        life = self._lives[shadow.task.id] = _Life(shadow, self._clock.now())
        shadow.feed.attach(life.take)
        if losses != self._losses:
            shadow.lose(LeaseLostError("the lease was lost before the task could go on"))
        if self._winding_down:
            shadow.wind_down(self._winding_down)
        if self._interrupting:
            shadow.interrupt(self._interrupting)
        try:
            yield
        finally:
            del self._lives[shadow.task.id]
            life.gone.set()

    async def _end_all(self) -> None:
        """Whoever leaves while shadows live must not leave them working on tasks that others may take."""
        self.interrupt(self._interrupting or "the program ends")
        try:
            async with asyncio.timeout(END_SECONDS):
                while self._lives:
                    await next(iter(self._lives.values())).gone.wait()
                await self.drained()
        except TimeoutError:
            _log.error("still running after %g seconds: %s", END_SECONDS, ", ".join(self._lives))
        for task in tuple(self._spawned):
            task.cancel()
