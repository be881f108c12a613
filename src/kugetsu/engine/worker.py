"""The worker: claims tasks, runs a shadow for each, and brings to them what users want."""

import asyncio
import os
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from kugetsu.concurrency import finish, first_error
from kugetsu.engine.leases import Lessee, reap
from kugetsu.engine.presence import Presences, this_host
from kugetsu.errors import KugetsuError, LeaseLostError, MissingKeyError, RecordError, StateConflictError
from kugetsu.protocols import Attention, Claim, Clock, Concurrency, Store, WorkerInfo
from kugetsu.shadows import Shadow
from kugetsu.tasks import Ending, Outcome, TaskReport, new_task_id

STOPPED: Final = "the program was told to stop"
"""Why tasks are interrupted when their worker is stopped."""

TICK_SECONDS: Final = 0.25
"""How often a worker looks at the queue, and at what users want, when nobody calls it."""

_END_SECONDS: Final = 30.0
"""How long runs may take to end when their worker ends; a command that resists takes some seconds."""

_GIVE_BACK_SECONDS: Final = 5.0
"""How long to wait before a task that could not be written down is given back once more."""

_NOT_HERE_SECONDS: Final = 60.0
"""How long a task rests that this worker cannot do for want of a key."""

_NOT_WRITTEN: Final = Outcome("interrupted", "it could not be written down how it went on")


@dataclass
class _Living:
    """A shadow, and the moment when it is one no longer."""

    shadow: Shadow
    gone: asyncio.Event = field(default_factory=asyncio.Event)


class Worker:
    """Runs tasks of one store in this process. Used inside `open`.

    Args:
        store: where the tasks are.
        presences: who else lives on this machine.
        clock: measures.
        lease_seconds: how long its lease holds without a heartbeat.
        name: for people.
        on_trouble: told what went wrong outside of any task, in one sentence.
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
        self._live: dict[str, _Living] = {}
        self._helpers: list[asyncio.Task[None]] = []
        self._called = asyncio.Event()
        self._news = asyncio.Event()
        self._stopping = asyncio.Event()
        self._interrupting = False
        self._losses = 0
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
                    yield self
                finally:
                    await finish(self._end_runs())
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

    def stop(self) -> None:
        """Claim no more; agents end their turn, and their tasks go on later. May be called twice."""
        self._stopping.set()
        self._called.set()
        for shadow in self._shadows:
            shadow.wind_down(STOPPED)

    def interrupt(self) -> None:
        """End what still runs at once; the tasks go on later. May be called twice."""
        self._interrupting = True
        self.stop()
        for shadow in self._shadows:
            shadow.interrupt(STOPPED)

    async def run(self, shadow: Shadow, prompt: str = "") -> TaskReport:
        """Run one shadow in the foreground. What users want of its task reaches it.

        Args:
            shadow: which.
            prompt: the job; empty for the task's own.

        Raises: as `Shadow.run`.
        """
        await self.ready()
        async with self._alive(shadow):
            return await shadow.run(prompt)

    async def serve(
        self,
        make_shadow: Callable[[Claim], Shadow],
        *,
        slots: int,
        limits: Concurrency | None = None,
        until_idle: bool = False,
    ) -> None:
        """Claim and run tasks until `stop`.

        Args:
            make_shadow: makes the shadow of a task that was claimed.
            slots: how many run at the same time.
            limits: how many of one kind.
            until_idle: end as well when nothing runs, not even elsewhere, and nothing waits, not even for its time.

        Raises:
            RecordError: the worker could not be registered.
        """
        await self.ready()
        await reap(self._store, self._presences, self._clock.now())
        running: set[asyncio.Task[None]] = set()
        with first_error():
            async with asyncio.TaskGroup() as group:
                while not self._stopping.is_set():
                    claims = await self._claim(slots - len(running), limits)
                    if self._stopping.is_set():
                        break  # what was claimed meanwhile is given back
                    for claim in claims or ():
                        task = group.create_task(self._run_claimed(claim, make_shadow))
                        running.add(task)
                        task.add_done_callback(running.discard)
                        task.add_done_callback(lambda _task: self.call())
                    if until_idle and claims is not None and not running and await self._nothing_left():
                        return
                    await _wait(self._called)

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

    async def _nothing_left(self) -> bool:
        running = (await self._store.counts())["running"]
        return not running and await self._store.next_start() is None

    async def _run_claimed(self, claim: Claim, make_shadow: Callable[[Claim], Shadow]) -> None:
        """Run a task to its end or halt. What goes wrong harms no other."""
        try:
            shadow = make_shadow(claim)
        except MissingKeyError as error:
            # It is this worker that lacks something; the task may go on where it is there, or when it is.
            self._on_trouble(f"task {claim.record.id} cannot be worked on here: {error}")
            await self._give_back(claim, Outcome("interrupted", str(error)), _NOT_HERE_SECONDS)
            return
        except Exception as error:  # noqa: BLE001 - a defect in one task ends no other
            await self._give_up(claim, Outcome("internal", str(error) or repr(error)))
            return
        async with self._alive(shadow):
            try:
                await shadow.run()
            except (LeaseLostError, StateConflictError) as error:
                self._on_trouble(f"task {claim.record.id} was lost: {error}")
                await self._give_back(claim)  # in vain if it really was
            except RecordError as error:
                self._on_trouble(f"task {claim.record.id} could not be written down: {error}")
                await self._give_back(claim)
            except KugetsuError:
                return  # it is in the task's own record
            except Exception as error:  # noqa: BLE001 - a defect in one task ends no other
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
            except RecordError:
                await self._clock.sleep(_GIVE_BACK_SECONDS)
            else:
                return

    @property
    def _shadows(self) -> list[Shadow]:
        return [living.shadow for living in self._live.values()]

    @asynccontextmanager
    async def _alive(self, shadow: Shadow) -> AsyncIterator[None]:
        """While a shadow lives. One whose task this worker had lost before waits until its predecessor is gone."""
        losses = self._losses
        while before := self._live.get(shadow.task.id):
            await before.gone.wait()
        living = self._live[shadow.task.id] = _Living(shadow)
        if losses != self._losses:
            shadow.lose(LeaseLostError("the lease was lost before the task could go on"))
        if self._stopping.is_set():
            shadow.wind_down(STOPPED)
        if self._interrupting:
            shadow.interrupt(STOPPED)
        try:
            yield
        finally:
            del self._live[shadow.task.id]
            living.gone.set()

    def _lose_all(self, lost: LeaseLostError) -> None:
        self._losses += 1
        self._tell_once(str(lost))
        for shadow in self._shadows:
            shadow.lose(lost)

    def _tell_once(self, sentence: str) -> None:
        """Say what is wrong with the store, once until it is well again."""
        if not self._troubled:
            self._troubled = True
            self._on_trouble(sentence)

    async def _end_runs(self) -> None:
        """Whoever leaves while shadows live must not leave them working on tasks that others may take."""
        if self._live:
            self.interrupt()
            with suppress(TimeoutError):
                async with asyncio.timeout(_END_SECONDS):
                    while self._live:
                        await next(iter(self._live.values())).gone.wait()

    async def _attend(self) -> None:
        """Bring to the shadows what users want, and write down what they have said, until this is cancelled."""
        while True:
            await _wait(self._news)
            if not self._live:
                continue
            try:
                for attention in await self._store.attention(self.info.id):
                    self._pass_on(attention)
            except RecordError:
                continue  # the next tick tries again
            async with asyncio.TaskGroup() as group:
                for shadow in self._shadows:
                    if shadow.has_waiting_events:
                        group.create_task(shadow.flush())

    def _pass_on(self, attention: Attention) -> None:
        living = self._live.get(attention.task)
        if living is None or living.shadow.generation != attention.generation:
            return
        shadow = living.shadow
        shadow.hear(attention.notes)
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


async def _wait(event: asyncio.Event) -> None:
    """Until an event is set, or a tick has passed; it is clear afterwards."""
    with suppress(TimeoutError):
        async with asyncio.timeout(TICK_SECONDS):
            await event.wait()
    event.clear()
