"""The lease of one worker: kept by a heartbeat, whatever its agents do; and the leases of the dead, which are ended."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from kugetsu.engine.presence import Presences
from kugetsu.errors import LeaseLostError, RecordError
from kugetsu.protocols import Clock, Queue, WorkerInfo
from kugetsu.tasks import TaskRecord

_log = logging.getLogger(__name__)

_SILENT: Final = "the store does not answer"

_BEATS: Final = 4
"""How often a lease is renewed in its time."""


class Lessee:
    """Keeps one worker's lease, and takes the tasks of workers that are gone.

    Args:
        queue: where leases are.
        presences: who lives on this machine.
        worker: whose lease it is.
        clock: measures.
        seconds: how long the lease holds without a heartbeat.
        on_lost: told when the lease is lost: all tasks of the worker must stop at once.
    """

    def __init__(
        self,
        queue: Queue,
        presences: Presences,
        worker: WorkerInfo,
        *,
        clock: Clock,
        seconds: float,
        on_lost: Callable[[LeaseLostError], None],
    ) -> None:
        self._queue = queue
        self._presences = presences
        self._worker = worker
        self._clock = clock
        self._seconds = seconds
        self._on_lost = on_lost
        self._held_until = 0.0
        self._trouble = ""

    async def take(self) -> None:
        """Get the lease.

        Raises:
            RecordError: it could not be written.
        """
        self._held_until = self._clock.monotonic() + self._seconds
        await self._queue.register(self._worker, self._seconds)

    async def keep(self) -> None:
        """Renew the lease and end those of the dead, until this is cancelled. A lost lease is taken anew."""
        while True:
            await self._clock.sleep(self._seconds / _BEATS)
            await self._beat()
            # A store that hangs must not keep the next beat from seeing that the lease is over.
            try:
                async with asyncio.timeout(self._seconds / _BEATS):
                    await reap(self._queue, self._presences, self._clock.now())
            except (RecordError, TimeoutError) as error:
                _log.warning("tasks of dead workers could not be taken: %s", str(error) or _SILENT)

    async def forfeit(self, lost: LeaseLostError) -> None:
        """Give up all tasks and take the lease anew."""
        self._on_lost(lost)
        self._held_until = 0.0
        try:
            # Given back, not reaped: nobody died. What is still written under the old lease does not count.
            async with asyncio.timeout(self._seconds / _BEATS):
                await self._queue.retire(self._worker.id)
                await self.take()
        except (RecordError, TimeoutError) as error:
            self._held_until = 0.0
            _log.warning("the lease could not be taken anew: %s", str(error) or _SILENT)

    async def _beat(self) -> None:
        now = self._clock.monotonic()
        if now < self._held_until:
            try:
                async with asyncio.timeout(self._seconds / _BEATS):
                    await self._queue.renew(self._worker.id, self._seconds)
            except LeaseLostError as lost:
                await self.forfeit(lost)
            except RecordError as error:
                self._trouble = f": {error}"
            except TimeoutError:
                self._trouble = ": the store does not answer"
            else:
                self._held_until, self._trouble = now + self._seconds, ""
            return
        await self.forfeit(LeaseLostError(f"the lease was not renewed for {self._seconds:g} seconds{self._trouble}"))


async def reap(queue: Queue, presences: Presences, now: float) -> list[TaskRecord]:
    """Take the tasks of workers whose lease has expired, and at once of those that are known to be dead.

    Nothing is written while there are none: reading costs other processes nothing, writing does.

    Args:
        queue: where leases are.
        presences: who lives on this machine.
        now: seconds since the epoch.

    Returns:
        The tasks as they are now.

    Raises:
        RecordError: it could not be read or written.
    """
    workers = await queue.workers()
    dead = {state.info.id for state in workers if presences.is_gone(state.info)}
    if not dead and all(state.expires_at > now for state in workers):
        return []
    records = await queue.reap(dead)
    for record in records:
        why = record.outcome.message if record.outcome else ""
        _log.warning("task %s was taken from a worker that is gone: %s, %s", record.id, record.state, why)
    presences.sweep()
    return records
