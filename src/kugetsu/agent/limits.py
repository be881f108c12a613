"""What a run may use up: counted between turns, timed all along."""

from kugetsu.errors import LimitReachedError
from kugetsu.protocols import Clock
from kugetsu.sessions import Tally
from kugetsu.tasks import Limits


def check_budget(limits: Limits, tally: Tally) -> None:
    """Decide whether one more model call is allowed.

    Raises:
        LimitReachedError: turns, tokens or money are used up.
    """
    if limits.turns and tally.turns >= limits.turns:
        raise LimitReachedError(
            "turn_limit",
            f"stopped after {tally.turns} turn{'s' if tally.turns != 1 else ''} (limits.turns = {limits.turns})",
        )
    if limits.tokens and tally.usage.tokens >= limits.tokens:
        raise LimitReachedError("token_limit", f"used {tally.usage.tokens} tokens (limits.tokens = {limits.tokens})")
    if limits.usd and tally.spent_usd >= limits.usd:
        raise LimitReachedError("money_limit", f"spent ${tally.spent_usd:.4f} (limits.usd = {limits.usd:g})")


class Watchdog:
    """Watches wall time and idle time beside a run."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._started = self._last_event = clock.monotonic()

    def touch(self) -> None:
        """Something happened."""
        self._last_event = self._clock.monotonic()

    async def watch(self) -> None:
        """Wait until a time limit is hit; for ever when there is none.

        Raises:
            LimitReachedError: it is hit.
        """
        while True:
            await self._clock.sleep(self._remaining())

    def _remaining(self) -> float:
        """Seconds until a limit can be hit."""
        now = self._clock.monotonic()
        wall, idle = self._limits.wall_seconds, self._limits.idle_seconds
        if wall and now - self._started >= wall:
            raise LimitReachedError("wall_time", f"stopped after {wall:g} seconds (limits.wall_seconds = {wall:g})")
        if idle and now - self._last_event >= idle:
            raise LimitReachedError(
                "idle_time", f"nothing happened for {idle:g} seconds (limits.idle_seconds = {idle:g})"
            )
        ends = [self._started + wall - now] if wall else []
        ends += [self._last_event + idle - now] if idle else []
        return min(ends, default=_DAY)


_DAY = 86_400.0
