"""The seam to news that go out: what changed, who is to hear of it, and how far that has come."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, Literal, Protocol, get_args

import msgspec

from kugetsu.tasks import Outcome, TaskState

DeliveryState = Literal["pending", "delivered", "expired", "refused"]
"""How far a delivery has come. `expired`: tried for as long as its target says. `refused`: trying again is of no use."""

DELIVERY_STATES: Final[tuple[DeliveryState, ...]] = get_args(DeliveryState)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a task's state of which nobody was told yet.

    Attributes:
        id: counts the changes of all tasks.
        task: id of the task.
        at: seconds since the epoch.
        state: the new one.
        outcome: as it was then.
        question: what the model asked then, empty for nothing.
    """

    id: int
    task: str
    at: float
    state: TaskState
    outcome: Outcome | None = None
    question: str = ""


class News(msgspec.Struct, frozen=True, kw_only=True):
    """What one target is to hear.

    Attributes:
        target: its name in the settings.
        event: what it is, as `task.completed`.
        payload: the body, JSON.
        expires_at: when it is given up; seconds since the epoch.
    """

    target: str
    event: str
    payload: str
    expires_at: float


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """News on their way.

    Attributes:
        id: counts the deliveries.
        task: id of the task they are about.
        target, event, payload, expires_at: see `News`.
        created_at: seconds since the epoch.
        attempts: how many came to an end that is known; what was cut off is tried again under the same number.
        due_at: when it is tried next, or, while somebody tries, when another may.
        ended_at: None while it is pending.
        error: what the last attempt said, empty for nothing.
    """

    id: int
    task: str
    target: str
    event: str
    payload: str
    created_at: float
    expires_at: float
    state: DeliveryState = "pending"
    attempts: int = 0
    due_at: float = 0.0
    ended_at: float | None = None
    error: str = ""


class Outbox(Protocol):
    """What went on and who was told of it. Each change of a task's state is in here in the transaction that makes it."""

    async def changes(self, *, tasks: Collection[str] = (), most: int = 100) -> list[Change]:
        """Changes that nobody was told of, oldest first. Damaged ones are left out.

        Args:
            tasks: only of these; empty for all.
            most: how many.

        Raises:
            RecordError: they could not be read.
        """
        ...

    async def route(self, news: Mapping[int, Sequence[News]]) -> None:
        """Turn changes, by their ids, into deliveries, of which there may be none; they are listed no longer.

        For a change that is not listed any more nothing is done, so that two may do the same.

        Raises:
            RecordError: it could not be written.
        """
        ...

    async def take_deliveries(
        self, seconds: float, most: int, *, tasks: Collection[str] = (), skip: Collection[str] = ()
    ) -> list[Delivery]:
        """Take what is due and try it; nobody else gets it for so long.

        Of one task and one target only the oldest that is pending is due, so that news arrive in their order. The one that
        is due longest comes first. One that has expired is taken like any other: it is for the caller to end it so.

        Args:
            seconds: how long to leave them to the caller.
            most: how many.
            tasks: only of these; empty for all.
            skip: names of targets that get nothing at present.

        Raises:
            RecordError: it could not be written.
        """
        ...

    async def end_attempt(
        self, delivery: Delivery, state: DeliveryState, *, error: str = "", due_at: float = 0.0
    ) -> None:
        """Say how an attempt ended: `attempts` is one more. Nothing happens when somebody else ended it meanwhile.

        Args:
            delivery: as it was taken.
            state: the new one; `pending` to try again.
            error: why it did not work.
            due_at: for `pending`: when to try again; seconds since the epoch.

        Raises:
            RecordError: it could not be written.
        """
        ...

    async def deliveries(
        self, *, states: Collection[DeliveryState] = (), tasks: Collection[str] = (), most: int = 0, before: int = 0
    ) -> list[Delivery]:
        """Deliveries, newest first.

        Args:
            states: those in one of these; empty for all.
            tasks: only of these; empty for all.
            most: how many; 0 for all.
            before: only those with a lower id; 0 for all.

        Raises:
            RecordError: they could not be read.
        """
        ...

    async def delivery_counts(self) -> dict[DeliveryState, int]:
        """How many deliveries are in each state; every state is named.

        Raises:
            RecordError: they could not be read.
        """
        ...

    async def retry_deliveries(self, ids: Collection[int] = (), *, expires_at: float) -> list[Delivery]:
        """Let deliveries be tried again now: those named, or all that expired or were refused.

        Args:
            ids: which; a delivered one is left alone, one that waits for its time need not wait.
            expires_at: until when they are tried now.

        Returns:
            These, newest first, as they are now.

        Raises:
            RecordError: it could not be written.
        """
        ...

    async def clear_deliveries(self, before: float) -> int:
        """Forget deliveries that ended before a time (seconds since the epoch); how many there were.

        Raises:
            RecordError: it could not be written.
        """
        ...
