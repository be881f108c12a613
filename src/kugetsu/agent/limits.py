"""What a run may use up: counted between turns, set aside before a call, timed all along."""

from typing import Final

import msgspec

from kugetsu.errors import LimitReachedError
from kugetsu.messages import AssistantMessage, Usage, most_tokens
from kugetsu.protocols import Clock, ModelInfo
from kugetsu.sessions import Tally
from kugetsu.tasks import Limits, Spent

LEAST_OUTPUT: Final = 1_024
"""Tokens of a reply below which a call is of no use."""

_ROUNDING: Final = 1e-6

_DAY: Final = 86_400.0


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


class CallCost(msgspec.Struct, frozen=True):
    """What one model call may use up.

    Attributes:
        prompt: the most tokens of its prompt.
        info: of the model.
        turns: that it counts as.
        leaving: what must be left for another call after it.
    """

    prompt: int
    info: ModelInfo
    turns: int = 1
    leaving: Spent = Spent()

    def of(self, output: int) -> Spent:
        """What there must be for it, with a reply of so many tokens."""
        return Spent(usd=self._usd(output), tokens=self.prompt + output, turns=self.turns) + self.leaving

    def output_for(self, spent: Spent) -> int:
        """How long the reply may be so that the call uses up no more than this; below 0 when the prompt alone does."""
        output: float = min(self.info.max_output, spent.tokens - self.leaving.tokens - self.prompt)
        left = spent.usd - self.leaving.usd - self._usd(0)
        if left < 0:
            return -1
        if self.info.usd_output:
            output = min(output, left / self.info.usd_output + _ROUNDING)
        return int(output)

    def broken_off(self, arrived: AssistantMessage) -> Usage:
        """The most that it used up when so much had arrived of its reply; nothing while nothing had."""
        if not arrived.content:
            return Usage()
        output = most_tokens([arrived])
        return Usage(self.prompt, output, 0, self._usd(output) if self.info.priced else None)

    @property
    def least_output(self) -> int:
        """The shortest reply that is worth a call."""
        return min(LEAST_OUTPUT, self.info.max_output)

    def _usd(self, output: int) -> float:
        """What it costs at most."""
        return self.info.usd_call + self.prompt * self.info.usd_input + output * self.info.usd_output


def longest_reply(limits: Limits, tally: Tally, cost: CallCost) -> int:
    """Decide how many tokens the next reply may have, so that the call cannot pass the limit of money; 0 for any number.

    Raises:
        LimitReachedError: too little is left for a reply that is of any use.
    """
    left = limits.usd - tally.spent_usd
    if not limits.usd or cost.of(cost.info.unbounded_reply).usd <= left:
        return 0
    output = cost.output_for(Spent(usd=left, tokens=cost.of(cost.info.max_output).tokens))
    if output < cost.least_output:
        needed = cost.of(cost.least_output).usd
        calls = "two calls" if cost.leaving.usd else "call"
        raise LimitReachedError(
            "money_limit",
            f"spent ${tally.spent_usd:.4f}, and the next {calls} may cost ${needed:.4f} (limits.usd = {limits.usd:g})",
        )
    return output


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
            raise LimitReachedError("wall_time", f"stopped after {wall:g} s (limits.wall_seconds = {wall:g})")
        if idle and now - self._last_event >= idle:
            raise LimitReachedError("idle_time", f"nothing happened for {idle:g} s (limits.idle_seconds = {idle:g})")
        ends = [self._started + wall - now] if wall else []
        ends += [self._last_event + idle - now] if idle else []
        return min(ends, default=_DAY)
