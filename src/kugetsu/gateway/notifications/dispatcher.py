"""Brings the news of tasks to those who are to hear of them: durable, in order for each task, and as soon as it can be."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

from kugetsu.concurrency import finish, first_error
from kugetsu.config import Settings
from kugetsu.errors import RecordError
from kugetsu.gateway.notifications.answers import Attempt
from kugetsu.gateway.notifications.lanes import Held, Lane, backoff
from kugetsu.gateway.notifications.readiness import problems
from kugetsu.gateway.notifications.router import Router
from kugetsu.gateway.notifications.routing import UNKNOWN
from kugetsu.gateway.notifications.sending import Sender
from kugetsu.protocols import Clock, Delivery, Store

_log = logging.getLogger(__name__)

POLL_SECONDS: Final = 1.0
"""How often it is looked for what other processes brought, or what is due again."""

KEPT_SECONDS: Final = 14 * 24 * 3600.0
"""How long deliveries that came to their end are kept."""

_TIDY_SECONDS: Final = 600.0

_MOST_RUNNING: Final = 64
"""Attempts at the same time, to all targets together."""

_MOST_TAKEN: Final = 16
"""Deliveries that are taken in one go: no target can have more of them in hand before it is known to be slow."""

_PAGE: Final = 50
"""Deliveries that are looked at in one go."""

_MARGIN_SECONDS: Final = 5.0
_WRITES: Final = 5
"""How often it is tried to write down how an attempt ended."""


async def forget_old(store: Store, now: float) -> int:
    """Forget deliveries that ended long ago; how many there were.

    Raises:
        RecordError: it could not be written.
    """
    return await store.clear_deliveries(now - KEPT_SECONDS)


class Dispatcher:
    """Routes changes, takes what is due, sends it, and says how it ended. Several may work on one store.

    Args:
        store: where changes and deliveries are.
        settings: who hears of what.
        environ: where secrets and the environment of commands come from.
        clock: time.
        say: told in one sentence what goes wrong, and when it is well again.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        environ: Mapping[str, str],
        clock: Clock,
        say: Callable[[str], None] = lambda _sentence: None,
    ) -> None:
        self._store = store
        self._settings = settings
        self._environ = environ
        self._clock = clock
        self._say = say
        self._router = Router(store, settings, environ, clock, say)
        self._sender = Sender(settings, environ, clock)
        self._lanes: dict[str, Lane] = {}
        self._trying: dict[int, str] = {}
        self._taking = False
        self._unready: set[str] = set()
        self._tasks: tuple[str, ...] = ()
        self._awaited: tuple[str, ...] = ()
        self._called = asyncio.Event()
        self._rested = asyncio.Event()
        self._troubled = False
        longest = max([target.timeout_seconds for target in settings.notify.values()], default=0.0)
        self._lease_seconds = longest + 2 * _MARGIN_SECONDS

    def problems(self) -> list[str]:
        """What keeps news from going out, one sentence each."""
        return problems(self._settings, self._environ)

    def wake(self) -> None:
        """A task has changed, or there is something to send: look now. For the thread of the event loop."""
        self._called.set()

    @asynccontextmanager
    async def running(self, tasks: Collection[str] = ()) -> "AsyncIterator[Dispatcher]":
        """Work while the block runs. Attempts that are under way at its end are cut off, and made again by whoever comes next.

        Args:
            tasks: ids of those whose news are to be brought; empty for all.
        """
        self._tasks = tuple(tasks)
        with first_error():
            async with self._sender, asyncio.TaskGroup() as group:
                helpers = [group.create_task(work()) for work in (self._tick, self._work, self._tidy)]
                try:
                    yield self
                finally:
                    for helper in helpers:
                        helper.cancel()

    async def drain(self, seconds: float, tasks: Collection[str] = ()) -> bool:
        """Go on until nothing is due any more, but not for long: for a program that is about to end. Never raises.

        Args:
            seconds: how long at most; what is due again within this time is tried again.
            tasks: ids of those whose news are waited for; empty for all that this one works for.

        Returns:
            Whether any are still on their way. They are left to whoever comes next.
        """
        self._awaited = tuple(tasks) or self._tasks
        end = self._clock.now() + seconds
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    self._rested.clear()
                    self.wake()
                    await self._rested.wait()
                    if not (await self._pending(end) or self._taking or self._in_hand()):
                        break
                    await self._clock.sleep(POLL_SECONDS / 4)
        return await self._pending()

    async def _pending(self, until: float | None = None) -> bool:
        """Whether news that are waited for are on their way, and can go out by then; True as well when nobody can tell."""
        before = 0
        try:
            while page := await self._store.deliveries(
                states=["pending"], tasks=self._awaited, most=_PAGE, before=before
            ):
                if until is None or any(self._may_arrive(one, until) for one in page):
                    return True
                before = page[-1].id
        except RecordError as error:
            self._trouble(error)
            return True
        return False

    def _may_arrive(self, delivery: Delivery, end: float) -> bool:
        """Whether it is due by then, and its target is not known to be unusable from here."""
        return delivery.due_at <= end and not (delivery.attempts and delivery.target in self._unready)

    def _in_hand(self) -> bool:
        """Whether news that are waited for are being sent, or wait here for their turn."""
        trying = any(not self._awaited or task in self._awaited for task in self._trying.values())
        return trying or any(lane.holds(self._awaited) for lane in self._lanes.values())

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(POLL_SECONDS)
            self._called.set()

    async def _tidy(self) -> None:
        """Forget now and then what ended long ago; who is here for some tasks alone leaves it to others."""
        while not self._tasks:
            await self._clock.sleep(_TIDY_SECONDS)
            try:
                await forget_old(self._store, self._clock.now())
            except RecordError as error:
                self._trouble(error)

    async def _work(self) -> None:
        """Do what there is to do, round by round. Ends only when it is cancelled, and every attempt with it."""
        async with asyncio.TaskGroup() as attempts:
            while True:
                self._called.clear()
                try:
                    more = await self._round(attempts)
                    self._troubled = False
                except RecordError as error:
                    self._trouble(error)
                    more = False
                if more:
                    continue
                if not self._in_hand():
                    self._rested.set()
                await self._called.wait()

    async def _round(self, attempts: asyncio.TaskGroup) -> bool:
        """Route what changed, take what is due, begin what there is room for; whether there may be more of it.

        Raises:
            RecordError: the store cannot be used.
        """
        more = await self._router.route(self._tasks)
        room = _MOST_RUNNING - len(self._trying)
        if room > 0:
            taken = await self._take(min(room, _MOST_TAKEN))
            more = more or bool(taken)
        for name, lane in self._lanes.items():
            self._begin(attempts, name, lane)
        return more

    async def _take(self, most: int) -> int:
        """Take what is due and sort it; how much there was."""
        now = self._clock.monotonic()
        busy = [name for name, lane in self._lanes.items() if lane.full(now)]
        self._taking = True
        try:
            taken = await self._store.take_deliveries(self._lease_seconds, most, tasks=self._tasks, skip=busy)
        finally:
            self._taking = False
        for delivery in taken:
            if delivery.id in self._trying:
                continue  # the clock was set, or the machine slept
            lane = self._lanes.setdefault(delivery.target, Lane())
            lane.add(Held(delivery, now + self._lease_seconds))
        return len(taken)

    def _begin(self, attempts: asyncio.TaskGroup, name: str, lane: Lane) -> None:
        needed = self._settings.notify.get(name, UNKNOWN).timeout_seconds + _MARGIN_SECONDS
        if name not in self._settings.notify:
            needed = 0.0  # nothing is sent
        while held := lane.next(self._clock.monotonic(), needed):
            self._trying[held.delivery.id] = held.delivery.task
            attempts.create_task(self._attempt(lane, held.delivery))

    async def _attempt(self, lane: Lane, delivery: Delivery) -> None:
        attempt = None
        try:
            try:
                attempt = await self._send(delivery)
            finally:
                # The next one need not wait until this one is written down.
                was_down = lane.down
                lane.ended(attempt, self._clock.monotonic())
                self._called.set()
            self._tell(delivery, attempt, was_down=was_down, down=lane.down)
            await self._write_down(delivery, attempt)
        finally:
            self._trying.pop(delivery.id, None)
            self._called.set()

    async def _send(self, delivery: Delivery) -> Attempt:
        if delivery.expires_at <= self._clock.now():
            return Attempt(state="expired", said=delivery.error or "nobody could send it in time", unready=True)
        try:
            attempt = await self._sender.send(delivery)
        except Exception as error:  # noqa: BLE001 - one target must not end the news of all others
            _log.exception("an attempt to send news to %s broke off", delivery.target)
            return Attempt(state="pending", said=f"the attempt broke off: {type(error).__name__}", down=True)
        if attempt.unready:
            self._unready.add(delivery.target)
        return attempt

    async def _write_down(self, delivery: Delivery, attempt: Attempt) -> None:
        """Say in the store how an attempt ended; when that is impossible, it is made again under the same request id."""
        now = self._clock.now()
        due_at = min(now + backoff(delivery.attempts, attempt), max(delivery.expires_at, now))
        for round_ in range(_WRITES):
            try:
                # An answer that came is not forgotten for a cancel.
                await finish(self._store.end_attempt(delivery, attempt.state, error=attempt.said, due_at=due_at))
            except RecordError as error:
                self._trouble(error)
            else:
                return
            if round_ + 1 < _WRITES:
                await self._clock.sleep(POLL_SECONDS)

    def _tell(self, delivery: Delivery, attempt: Attempt, *, was_down: bool, down: bool) -> None:
        """Say what people should know; of a target that is down, once."""
        what = f"news of task {delivery.task} for {delivery.target}"
        if attempt.state in {"refused", "expired"}:
            self._say(f"{what} are given up ({attempt.state}): {attempt.said}")
        elif attempt.state == "pending" and (attempt.unready or not down) and not delivery.attempts:
            self._say(f"{what} must wait: {attempt.said}")
        elif down and not was_down:
            self._say(f"{delivery.target} gets no news at present: {attempt.said}")
        elif was_down and not down:
            self._say(f"{delivery.target} gets news again")

    def _trouble(self, error: RecordError) -> None:
        """Say once that the store cannot be used."""
        if not self._troubled:
            self._troubled = True
            self._say(f"news cannot be sent at present: {error}")
