"""The worker: claims tasks, runs a shadow for each, and brings to them what users want."""

import asyncio
import logging
import os
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final

from kugetsu.concurrency import finish, first_error
from kugetsu.engine.leases import Lessee, reap
from kugetsu.engine.presence import Presences, this_host
from kugetsu.errors import ConfigError, KugetsuError, LeaseLostError, MissingKeyError, RecordError, StateConflictError
from kugetsu.protocols import Attention, Claim, Clock, Concurrency, Store, WorkerInfo
from kugetsu.shadows import Shadow, ShadowManager
from kugetsu.tasks import Ending, Outcome, TaskReport, new_task_id

_log = logging.getLogger(__name__)

STOPPED: Final = "the program was told to stop"
"""Why tasks are interrupted when their worker is stopped."""

TICK_SECONDS: Final = 0.25
"""How often a worker looks at the queue, and at what users want, when nobody calls it."""

_GIVE_BACK_SECONDS: Final = 5.0
"""How long to wait before a task that could not be written down is given back once more."""

_NOT_HERE_SECONDS: Final = 60.0
"""How long a task rests that this worker cannot do for want of a key."""

_NOT_WRITTEN: Final = Outcome("interrupted", "it could not be written down how it went on")


class Worker:
    """Runs tasks of one store in this process. Used inside `open`.

    Args:
        store: where the tasks are.
        presences: who else lives on this machine.
        clock: measures.
        lease_seconds: how long its lease holds without a heartbeat.
        name: for people.
        on_trouble: told what went wrong outside of any task, in one sentence.

    Attributes:
        shadows: those that live in this process.
        listeners: called, in the event loop, whenever there may be something new: for the worker, or of a task of its own.
    """

    def __init__(
        self,
        store: Store,
        presences: Presences,
        *,
        clock: Clock,
        lease_seconds: float = 30.0,
        name: str = "",
        on_trouble: Callable[[str], None] = lambda _sentence: None,
    ) -> None:
        self.info = WorkerInfo(new_task_id(), this_host(), os.getpid(), name)
        self._store = store
        self._presences = presences
        self._clock = clock
        self._on_trouble = on_trouble
        self.shadows = ShadowManager(clock, self.call)
        self.listeners: list[Callable[[], None]] = []
        self._helpers: list[asyncio.Task[None]] = []
        self._called = asyncio.Event()
        self._news = asyncio.Event()
        self._stopping = asyncio.Event()
        self._troubled = False
        self._registering = asyncio.Lock()
        self._lessee: Lessee | None = None
        self._lease_seconds = lease_seconds
        self._group: asyncio.TaskGroup | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Worker"]:
        """Be ready to work while the block runs; in the end no lease is left, and what was not finished is given back."""
        with first_error(), self._presences.show(self.info.id, self.call):
            async with asyncio.TaskGroup() as self._group:
                try:
                    async with self.shadows.open():
                        try:
                            yield self
                        finally:
                            # Whoever leaves while shadows live must not leave them working on tasks that others may take.
                            self.interrupt()
                finally:
                    for helper in self._helpers:
                        helper.cancel()
                    await finish(self._retire())

    async def ready(self) -> WorkerInfo:
        """Register, if that is still to be done, and say who this is.

        Raises:
            RecordError: it could not be written.
        """
        async with self._registering:
            if self._lessee is None:
                if self._group is None:
                    raise RecordError("the worker is not open")
                lessee = Lessee(
                    self._store,
                    self._presences,
                    self.info,
                    clock=self._clock,
                    seconds=self._lease_seconds,
                    on_lost=self._lose_all,
                )
                await lessee.take()
                self._presences.sweep()
                self._lessee = lessee
                self._helpers += [self._group.create_task(lessee.keep()), self._group.create_task(self._attend())]
        return self.info

    def call(self) -> None:
        """There may be something to do, or something that users want."""
        self._called.set()
        self._news.set()
        for listener in self.listeners:
            listener()

    def stop(self) -> None:
        """Claim no more; agents end their turn, and their tasks go on later. May be called twice."""
        self._stopping.set()
        self._called.set()
        self.shadows.wind_down(STOPPED)

    def interrupt(self) -> None:
        """End what still runs at once; the tasks go on later. May be called twice."""
        self.stop()
        self.shadows.interrupt(STOPPED)

    async def run(self, shadow: Shadow, prompt: str = "") -> TaskReport:
        """Run one shadow in the foreground. What users want of its task reaches it.

        Args:
            shadow: which.
            prompt: the job; empty for the task's own.

        Raises: as `Shadow.run`.
        """
        await self.ready()
        return await self.shadows.run(shadow, prompt)

    async def serve(
        self,
        make_shadow: Callable[[Claim], Shadow],
        *,
        room: Callable[[int], int],
        limits: Callable[[], Concurrency | None] = lambda: None,
        until_idle: bool = False,
    ) -> None:
        """Claim and run tasks until `stop`.

        Args:
            make_shadow: makes the shadow of a task that was claimed.
            room: how many tasks more may start now, called with how many run; asked anew at every tick.
            limits: how many of one kind.
            until_idle: end as well when nothing runs, not even elsewhere, and nothing waits, not even for its time.

        Raises:
            RecordError: the worker could not be registered.
        """
        await self.ready()
        await reap(self._store, self._presences, self._clock.now())
        try:
            while not self._stopping.is_set():
                free, bounds = room(self.shadows.spawned), limits()
                claims = await self._claim(free, bounds)
                if self._stopping.is_set():
                    break  # what was claimed meanwhile is given back
                for claim in claims or ():
                    self.shadows.spawn(partial(_made, make_shadow, claim), partial(self._on_failure, claim))
                looked = free > 0 and claims is not None
                if until_idle and looked and not self.shadows.spawned and await self._nothing_left(bounds):
                    return
                await _wait(self._called)
            await self.shadows.drained()
        except BaseException:
            self.interrupt()
            await finish(self.shadows.drained())
            raise

    async def _claim(self, most: int, limits: Concurrency | None) -> list[Claim] | None:
        """Take what is next; None when nobody can tell what that is."""
        if most <= 0:
            return []
        try:
            claims = await self._store.claim(self.info.id, most, limits)
        except LeaseLostError:
            return None  # the heartbeat takes it anew
        except RecordError as error:
            self._tell_once(f"no task can be claimed: {error}")
            if error.unknown and self._lessee:
                await self._lessee.forfeit(LeaseLostError("nobody knows which tasks were claimed"))
            return None
        else:
            self._troubled = False
            return claims

    async def _nothing_left(self, bounds: Concurrency | None) -> bool:
        try:
            return await self._is_idle(bounds)
        except RecordError as error:
            self._tell_once(f"it cannot be told whether anything is left to do: {error}")
            return False

    async def _is_idle(self, bounds: Concurrency | None) -> bool:
        counts = await self._store.counts()
        if bounds and bounds.closed and (counts["pending"] or counts["waiting"]):
            return False  # they may start as soon as their model has room again
        return not counts["running"] and await self._store.next_start() is None

    async def _on_failure(self, claim: Claim, error: Exception) -> None:
        """A shadow failed in a way that is not in its task's record, or could not be made."""
        task = claim.record.id
        match error:
            case MissingKeyError():
                # It is this worker that lacks something; the task may go on where it is there, or when it is.
                self._on_trouble(f"task {task} cannot be worked on here: {error}")
                await self._give_back(claim, Outcome("interrupted", str(error)), _NOT_HERE_SECONDS)
            case ConfigError():
                self._on_trouble(f"task {task} cannot be run: {error}")
                await self._give_up(claim, Outcome("internal", str(error)))
            case LeaseLostError() | StateConflictError():
                self._on_trouble(f"task {task} was lost: {error}")
                await self._give_back(claim)  # in vain if it really was
            case RecordError():
                self._on_trouble(f"task {task} could not be written down: {error}")
                await self._give_back(claim)
            case KugetsuError():
                return  # it is in the task's own record
            case _:
                self._on_trouble("".join(traceback.format_exception(error)))
                await self._give_back(claim)

    async def _give_up(self, claim: Claim, outcome: Outcome) -> None:
        ending = Ending(state="failed", outcome=outcome, report=claim.record.report, attempts=claim.record.attempts + 1)
        await self._settle(claim, ending)

    async def _give_back(
        self, claim: Claim, outcome: Outcome = _NOT_WRITTEN, seconds: float = _GIVE_BACK_SECONDS
    ) -> None:
        """Let the task go on later, as soon as that can be written down."""
        ending = Ending(
            state="pending",
            outcome=outcome,
            report=claim.record.report,
            attempts=claim.record.attempts,
            available_at=self._clock.now() + seconds,
        )
        await self._settle(claim, ending)

    async def _settle(self, claim: Claim, ending: Ending) -> None:
        while not self._stopping.is_set():
            try:
                await self._store.settle(claim.lease, ending)
            except LeaseLostError:
                return
            except RecordError as error:
                self._tell_once(f"task {claim.record.id} cannot be given back yet: {error}")
                await self._clock.sleep(_GIVE_BACK_SECONDS)
            else:
                return
        _log.warning("task %s could not be given back and is left to the end of the lease", claim.record.id)

    def _lose_all(self, lost: LeaseLostError) -> None:
        self._tell_once(str(lost))
        self.shadows.lose(lost)

    def _tell_once(self, sentence: str) -> None:
        """Say what is wrong with the store, once until it is well again."""
        if not self._troubled:
            self._troubled = True
            self._on_trouble(sentence)

    async def _attend(self) -> None:
        """Bring to the shadows what users want, and write down what they have said, until this is cancelled."""
        while True:
            await _wait(self._news)
            if not self.shadows.list():
                continue
            try:
                for attention in await self._store.attention(self.info.id):
                    self._pass_on(attention)
            except RecordError as error:
                self._tell_once(f"what users want cannot be read: {error}")
                continue  # the next tick tries again
            await self.shadows.flush()

    def _pass_on(self, attention: Attention) -> None:
        shadow = self.shadows.hear(attention.task, attention.generation, attention.notes)
        if shadow is None:
            return
        if attention.wanted == "cancel":
            shadow.cancel(attention.reason)
        elif attention.wanted == "pause":
            shadow.pause(if_still_wanted=True)

    async def _retire(self) -> None:
        if self._lessee is None:
            return
        try:
            await self._store.retire(self.info.id)
        except RecordError as error:
            self._on_trouble(f"the worker could not be retired: {error}")


def _made(make_shadow: Callable[[Claim], Shadow], claim: Claim) -> Shadow:
    """Make the shadow of a task.

    Raises:
        ConfigError: it cannot be made, now or ever; `MissingKeyError`: not here and now.
    """
    try:
        return make_shadow(claim)
    except (ConfigError, LeaseLostError, RecordError):
        raise
    except Exception as error:
        raise ConfigError(str(error) or repr(error)) from error


async def _wait(event: asyncio.Event) -> None:
    """Until an event is set, or a tick has passed; it is clear afterwards."""
    with suppress(TimeoutError):
        async with asyncio.timeout(TICK_SECONDS):
            await event.wait()
    event.clear()
