"""The outbox of a store in memory."""

from collections.abc import Collection, Mapping, Sequence
from itertools import count

import msgspec

from kugetsu.protocols import DELIVERY_STATES, Change, Clock, Delivery, DeliveryState, News
from kugetsu.testing.keyring import MemoryKeyring
from kugetsu.testing.shelf import Shelf


class MemoryOutbox(MemoryKeyring):
    """What went on and who was told of it. Implements `protocols.Outbox`."""

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__(clock)
        self._shelf = Shelf()
        self._deliveries: dict[int, Delivery] = {}
        self._delivery_ids = count(1)

    async def changes(self, *, tasks: Collection[str] = (), most: int = 100) -> list[Change]:
        """Changes that nobody was told of, oldest first."""
        found = [change for change in self._shelf.changes.values() if not tasks or change.task in tasks]
        return found[: max(0, most)]

    async def route(self, news: Mapping[int, Sequence[News]]) -> None:
        """Turn changes into deliveries; those that are not there any more are left alone."""
        now = self._clock.now()
        for number in sorted(news):
            change = self._shelf.changes.pop(number, None)
            for one in news[number] if change else ():
                self._send(change.task if change else "", one, now)

    async def take_deliveries(
        self, seconds: float, most: int, *, tasks: Collection[str] = (), skip: Collection[str] = ()
    ) -> list[Delivery]:
        """Take what is due: the longest first, and of one task and one target the oldest alone."""
        now = self._clock.now()
        oldest: dict[tuple[str, str], Delivery] = {}
        for delivery in self._deliveries.values():
            if delivery.state == "pending":
                oldest.setdefault((delivery.task, delivery.target), delivery)
        due = [
            one
            for one in oldest.values()
            if one.due_at <= now and (not tasks or one.task in tasks) and one.target not in skip
        ]
        due.sort(key=lambda one: (one.due_at, one.id))
        return [self._keep(one, due_at=now + seconds) for one in due[: max(0, most)]]

    async def end_attempt(
        self, delivery: Delivery, state: DeliveryState, *, error: str = "", due_at: float = 0.0
    ) -> None:
        """Say how an attempt ended, unless somebody else did."""
        known = self._deliveries.get(delivery.id)
        if known is None or (known.state, known.attempts) != ("pending", delivery.attempts):
            return
        self._keep(
            known,
            state=state,
            attempts=known.attempts + 1,
            error=error,
            due_at=due_at if state == "pending" else known.due_at,
            ended_at=None if state == "pending" else self._clock.now(),
        )

    async def deliveries(
        self, *, states: Collection[DeliveryState] = (), tasks: Collection[str] = (), most: int = 0, before: int = 0
    ) -> list[Delivery]:
        """Deliveries, newest first."""
        found = [
            delivery
            for delivery in reversed(self._deliveries.values())
            if (not states or delivery.state in states)
            and (not tasks or delivery.task in tasks)
            and (before <= 0 or delivery.id < before)
        ]
        return found[:most] if most > 0 else found

    async def retry_deliveries(self, ids: Collection[int] = (), *, expires_at: float) -> list[Delivery]:
        """Let deliveries be tried again now: those named, or all that were given up."""
        now = self._clock.now()
        these = [
            delivery
            for delivery in reversed(self._deliveries.values())
            if (delivery.id in ids and delivery.state != "delivered")
            or (not ids and delivery.state in {"expired", "refused"})
        ]
        again = {"state": "pending", "due_at": now, "expires_at": expires_at, "ended_at": None}
        return [self._keep(delivery, **again) for delivery in these]

    async def delivery_counts(self) -> dict[DeliveryState, int]:
        """How many deliveries are in each state; every state is named."""
        states = [one.state for one in self._deliveries.values()]
        return {state: states.count(state) for state in DELIVERY_STATES}

    async def clear_deliveries(self, before: float) -> int:
        """Forget deliveries that ended before a time; how many there were."""
        old = [one.id for one in self._deliveries.values() if one.ended_at is not None and one.ended_at < before]
        for number in old:
            del self._deliveries[number]
        return len(old)

    def _send(self, task: str, news: News, now: float) -> None:
        number = next(self._delivery_ids)
        self._deliveries[number] = Delivery(
            id=number,
            task=task,
            target=news.target,
            event=news.event,
            payload=news.payload,
            created_at=now,
            expires_at=news.expires_at,
            due_at=now,
        )

    def _keep(self, delivery: Delivery, **fields: object) -> Delivery:
        self._deliveries[delivery.id] = changed = msgspec.structs.replace(delivery, **fields)
        return changed
