"""What a run may take of the budgets of the day: set aside before each model call, so that no two runs take the same."""

import random
from typing import Final

from kugetsu.errors import LimitReachedError
from kugetsu.events import EventSink, Noted
from kugetsu.protocols import Clock
from kugetsu.shadows.run_log import RunLog
from kugetsu.tasks import Budgets, Spent

_ASK_AGAIN_SECONDS: Final = 2.0
"""Longest time until it is asked again whether others have given back what they did not need."""

_SAY_AGAIN_SECONDS: Final = 300.0
"""How often a run that waits so says that it lives."""


class Purse:
    """Sets aside money and tokens for the calls of one run.

    Args:
        log: of the run.
        budgets: what its task falls under.
        clock: for waiting.
        publish: told that it waits.
    """

    def __init__(self, log: RunLog, budgets: Budgets, clock: Clock, publish: EventSink) -> None:
        self._log = log
        self._budgets = budgets
        self._clock = clock
        self._publish = publish

    async def reserve(self, least: Spent, most: Spent) -> Spent:
        """Set aside what the next model call may use up; see `protocols.Reserve`.

        Raises:
            LimitReachedError: there will not be enough before another day.
            LeaseLostError, RecordError: as for every write of a run.
        """
        if not self._budgets.limited:
            return most
        said = -_SAY_AGAIN_SECONDS
        while True:
            reserved = await self._log.reserve(least, most, self._budgets)
            if reserved.granted is not None:
                return reserved.granted
            if reserved.hit:
                raise LimitReachedError(
                    "budget",
                    reserved.hit,
                    fix="raise `budgets` in kugetsu.toml and `kugetsu resume` it, or let it wait for the next day (UTC)",
                    until=reserved.until,
                )
            if self._clock.monotonic() - said >= _SAY_AGAIN_SECONDS:
                said = self._clock.monotonic()
                self._publish(Noted(message="waits for what other tasks have set aside of the day's budget"))
            await self._clock.sleep(random.uniform(0, _ASK_AGAIN_SECONDS))  # noqa: S311 - spreads load, keeps no secret
