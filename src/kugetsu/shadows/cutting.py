"""Why and how a run ends before it is done: cancelled, interrupted, or no longer ours."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

from kugetsu.errors import LeaseLostError
from kugetsu.tasks import Outcome

T = TypeVar("T")

Kind = Literal["", "cancelled", "interrupted"]
"""Why a run ends early: not at all, because its task is over, or because its program stops and the task goes on later."""


class Cut:
    """Ends what a run does at the next await, as soon as somebody wants that.

    Attributes:
        kind: how the run was cut; empty while it was not.
        reason: why, in words.
        lost: set when somebody else may have the task; nothing may be written then.
    """

    def __init__(self) -> None:
        self.kind: Kind = ""
        self.reason = ""
        self.lost: LeaseLostError | None = None
        self._scope: asyncio.Timeout | None = None

    def make(self, kind: Literal["cancelled", "interrupted"], reason: str) -> None:
        """Cut; a cancel stays one whatever comes after. May be called at any time, and twice."""
        if self.kind != "cancelled":
            self.kind, self.reason = kind, reason
        if self._scope is not None and not self._scope.expired():
            self._scope.reschedule(0)

    def lose(self, lost: LeaseLostError) -> None:
        """Cut because somebody else may have the task."""
        self.lost = self.lost or lost
        self.make("interrupted", str(lost))

    async def within(self, work: Callable[[], Awaitable[T]]) -> T | None:
        """Do work that a cut ends; None when it did."""
        if self.kind:
            return None
        try:
            async with asyncio.timeout(None) as self._scope:
                return await work()
        except TimeoutError:
            if self._scope and self._scope.expired():
                return None
            raise
        finally:
            self._scope = None

    @property
    def outcome(self) -> Outcome:
        """How a run ended that was cut.

        Raises:
            LeaseLostError: it is no longer ours.
        """
        self.check()
        return Outcome("interrupted" if self.kind == "interrupted" else "cancelled", self.reason)

    def check(self) -> None:
        """Make sure that the run is still ours, as far as anybody has said.

        Raises:
            LeaseLostError: it is not.
        """
        if self.lost:
            raise self.lost
