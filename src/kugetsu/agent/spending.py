"""What the model calls of one agent may use up: within its own limits, and set aside of what all tasks share."""

import random
from collections.abc import Callable
from math import inf
from typing import Final

from kugetsu.agent.limits import CallCost, check_budget, longest_reply
from kugetsu.events import EventSink, Noted
from kugetsu.protocols import Clock, Reserve
from kugetsu.sessions import Session
from kugetsu.tasks import Limits, Spent

_ASK_AGAIN_SECONDS: Final = (0.5, 3.0)
"""How long until it is asked again whether others have given back what they did not need."""


_SAY_AGAIN_SECONDS: Final = 300.0
"""How often a run that waits says so."""


class Spending:
    """Allows calls of the model.

    Args:
        session: what was used so far.
        limits: of the task.
        reserve: sets aside what all tasks share.
        clock: for waits.
        publish: told that it waits.
    """

    def __init__(self, session: Session, limits: Limits, reserve: Reserve, clock: Clock, publish: EventSink) -> None:
        self._session = session
        self._limits = limits
        self._reserve = reserve
        self._clock = clock
        self._publish = publish
        self._said = -inf

    def check(self) -> None:
        """Decide whether one more turn is allowed.

        Raises:
            LimitReachedError: turns, tokens or money are used up.
        """
        check_budget(self._limits, self._session.used)

    def fits(self, cost: CallCost, output: int) -> bool:
        """Whether the limit of tokens leaves enough for a call with a reply of so many, and for what is to be left."""
        return (
            not self._limits.tokens or self._session.used.usage.tokens + cost.of(output).tokens <= self._limits.tokens
        )

    async def allow(self, cost: CallCost, most: int, before_waiting: Callable[[], None]) -> int:
        """Set aside what a call may cost; returns how many tokens its reply may have, 0 for any number.

        Args:
            cost: of the call.
            most: how many tokens the reply may have for other reasons, 0 for any number.
            before_waiting: called whenever others have to give something back first; may raise.

        Raises:
            LimitReachedError: too little is left.
            LeaseLostError, RecordError: nothing can be set aside.
        """
        own = longest_reply(self._limits, self._session.used, cost)
        output = min(own or most, most or own)
        longest = output or cost.info.max_output
        granted = await self._set_aside(cost.of(cost.least_output), cost.of(longest), before_waiting)
        return output if granted is None else min(longest, cost.output_for(granted))

    async def _set_aside(self, least: Spent, most: Spent, before_waiting: Callable[[], None]) -> Spent | None:
        """Have set aside what a call may use up, as soon as others have left enough; None when nothing bounds it."""
        while (reserved := await self._reserve(least, most)) is not None:
            if reserved.granted is not None:
                return reserved.granted
            before_waiting()
            self._say_that_it_waits()
            await self._clock.sleep(random.uniform(*_ASK_AGAIN_SECONDS))  # noqa: S311 - spreads load, keeps no secret
        return None

    def _say_that_it_waits(self) -> None:
        now = self._clock.monotonic()
        if now - self._said >= _SAY_AGAIN_SECONDS:
            self._said = now
            self._publish(Noted(message="waits for what other tasks have set aside of the day's budget"))
