"""What one run writes down: its part of the session, of the events, and how it ended."""

import asyncio
import math
from collections.abc import Sequence

import msgspec

from kugetsu.agent import INTERRUPTED
from kugetsu.events import TRANSIENT, Event
from kugetsu.failpoints import reach
from kugetsu.messages import Usage
from kugetsu.protocols import Claim, Clock, Effect, EffectState, Reserved, Runs
from kugetsu.sessions import Checkpoint, Compacted, Entry, Finished, Replied, Wasted
from kugetsu.tasks import Budgets, Ending, Place, Spent, TaskRecord


class RunLog:
    """The store as one run sees it: every write carries the lease. Implements `protocols.Journal`.

    Events wait for the next write, so that they cost no commit of their own.
    """

    def __init__(self, store: Runs, claim: Claim, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._counted = clock.monotonic()
        self._lease = claim.lease
        self._crashed = claim.record.crashes > 0
        self._cut: set[int] = set()
        self._waiting: list[Event] = []
        self._writing = asyncio.Lock()

    @property
    def oldest_waiting(self) -> float:
        """When the oldest event happened that is not written; seconds since the epoch, endlessly far when all are."""
        return self._waiting[0].at if self._waiting else math.inf

    def record(self, event: Event) -> None:
        """Keep an event until the next write, unless it is transient. Never raises."""
        if not isinstance(event, TRANSIENT):
            self._waiting.append(event)

    async def append(self, *entries: Entry, taken: Sequence[int] = ()) -> None:
        """Write entries, and the events that wait. See `protocols.Journal`."""
        async with self._writing:  # events are numbered, so what could not be written goes before what is new
            events, self._waiting = self._waiting, []
            headway = self._crashed and self._made_headway(entries)
            replies = [entry.message.usage for entry in entries if isinstance(entry, Replied)]
            wasted = [entry.usage for entry in entries if isinstance(entry, Wasted | Compacted)]
            spent = self._spent(replies + wasted, turns=len(replies)) if replies or wasted else None
            try:
                await self._store.append(self._lease, entries, events=events, taken=taken, headway=headway, spent=spent)
            except BaseException:
                self._waiting = [*events, *self._waiting]
                raise

    async def reserve(self, least: Spent, most: Spent, budgets: Budgets) -> Reserved:
        """Set aside what the next model call may use up, and look whether there is time left."""
        seconds = self._clock.monotonic() - self._counted  # not in the ledger yet
        least, most = (msgspec.structs.replace(spent, seconds=seconds) for spent in (least, most))
        return await self._store.reserve(self._lease, least, most, budgets)

    async def check(self) -> None:
        """Make sure that the lease is still there, and write the events that wait.

        Raises:
            LeaseLostError, RecordError: as for `append`.
        """
        await self.append()

    async def flush(self) -> None:
        """Write the events that wait.

        Raises:
            LeaseLostError, RecordError: as for `append`.
        """
        if self._waiting:
            await self.append()

    async def place(self, place: Place) -> None:
        """Write down where the work is."""
        await self._store.place(self._lease, place)
        reach("workspace.placed")

    async def begin_effect(self, effect: Effect) -> EffectState:
        """Write down that something is about to be done to the world outside."""
        state = await self._store.begin_effect(self._lease, effect)
        reach("effect.begun")
        if state == "new" and self._crashed:
            # It came further than any run before it.
            self._crashed = False
            await self._store.append(self._lease, (), headway=True)
        return state

    async def end_effect(self, effect: Effect) -> None:
        """Write down that it is done."""
        reach("effect.acted")
        await self._store.end_effect(self._lease, effect)
        reach("effect.ended")

    async def settle(self, ending: Ending, unbooked: Usage | None = None) -> TaskRecord:
        """End the run, with the events that wait.

        Args:
            ending: what the run leaves its task in.
            unbooked: what was used up, and no entry says.
        """
        async with self._writing:
            events, self._waiting = self._waiting, []
            return await self._store.settle(
                self._lease, ending, events=events, spent=self._spent([unbooked] if unbooked else [], turns=0)
            )

    def _spent(self, usages: Sequence[Usage], *, turns: int) -> Spent:
        """What was used up since the last time."""
        before, self._counted = self._counted, self._clock.monotonic()
        return Spent(
            usd=sum(usage.cost_usd or 0.0 for usage in usages),
            tokens=sum(usage.tokens for usage in usages),
            turns=turns,
            seconds=self._counted - before,
        )

    def _made_headway(self, entries: Sequence[Entry]) -> bool:
        """Whether a turn is closed of which no call was cut by a crash: a task that kills its workers leaves such a call."""
        self._cut |= {e.turn for e in entries if isinstance(e, Finished) and e.result.text == INTERRUPTED}
        made = any(isinstance(entry, Checkpoint) and entry.turn not in self._cut for entry in entries)
        self._crashed = self._crashed and not made
        return made
