"""The limits of one model, shared by all who call it: how many calls a minute, how many tokens, how many at once.

First come, first served. Whoever waits sleeps until it is its turn: a call that ends wakes the first of the queue and
nobody else, and only the first watches the time.
"""

import asyncio
import math
from collections import deque
from types import TracebackType
from typing import Final, Self

import msgspec

from kugetsu.errors import ModelError, ModelFailure
from kugetsu.models.breaker import Breaker
from kugetsu.models.bucket import Bucket
from kugetsu.models.window import Window
from kugetsu.protocols import Clock

CAPACITY: Final[frozenset[ModelFailure]] = frozenset({"rate_limited", "overloaded"})
"""Failures that say that it was too much."""

_NEWEST: Final = 0.2
"""What the last call counts in averages."""

_REFUSED: Final = 400
"""Statuses from here on: the provider did nothing, and counts no tokens."""


class Patience(msgspec.Struct, frozen=True):
    """How long a call may wait before it begins. One that would have to wait longer is refused at once.

    Attributes:
        block: seconds until the provider takes calls again.
        turn: seconds until it is its turn among the calls of this program.
    """

    block: float = math.inf
    turn: float = math.inf


class Bounds(msgspec.Struct, frozen=True):
    """The limits that the settings name for one model; 0 for none."""

    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    concurrency: int = 0


class Call:
    """A call under way. A context manager; leaving it gives its place back, and tells how it went."""

    __slots__ = ("_heard", "_limiter", "began", "epoch", "probe", "tokens", "used")

    def __init__(self, limiter: "Limiter", tokens: int, began: float, epoch: int, *, probe: bool) -> None:
        self._limiter = limiter
        self.tokens = tokens
        self.began = began
        self.epoch = epoch
        self.probe = probe
        self.used: int | None = None
        self._heard = False

    def heard(self) -> None:
        """The reply has begun. May be called for each of its events."""
        if not self._heard:
            self._heard = True
            self._limiter.heard(self)

    def ended(self, tokens: int) -> None:
        """The reply is whole. `tokens` is what it consumed in all; 0 when the provider does not say."""
        self.used = tokens

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._limiter.leave(self, error)


class _Waiter:
    __slots__ = ("patience", "refusal", "tokens", "woken")

    def __init__(self, tokens: int, patience: Patience) -> None:
        self.tokens = tokens
        self.patience = patience
        self.refusal: ModelError | None = None
        self.woken: asyncio.Future[None] | None = None

    def wake(self) -> None:
        if self.woken and not self.woken.done():
            self.woken.set_result(None)


class Limiter:
    """Lets calls of one model begin when there is room for them. For one event loop.

    Args:
        label: `provider/model`.
        bounds: what the settings say.
        breaker: of its provider.
        clock: time.
    """

    def __init__(self, label: str, bounds: Bounds, breaker: Breaker, clock: Clock) -> None:
        self._label = label
        self._bounds = bounds
        self._breaker = breaker
        self._clock = clock
        now = clock.monotonic()
        self._window = Window(bounds.concurrency)
        self._requests = Bucket(bounds.requests_per_minute, now) if bounds.requests_per_minute else None
        self._tokens = Bucket(bounds.tokens_per_minute, now) if bounds.tokens_per_minute else None
        self._active = 0
        self._queue: deque[_Waiter] = deque()
        self._blocked_until = -math.inf
        self._blocked_by = ""
        self._usual_seconds = self._usual_tokens = 0.0
        breaker.listen(self._reconsider)

    async def enter(self, tokens: int, patience: Patience = Patience()) -> Call:  # noqa: B008 - immutable
        """Wait until a call may begin.

        Args:
            tokens: that it will consume, as far as one knows; 0 for as many as calls usually do.
            patience: how long it may wait.

        Raises:
            ModelError: `rate_limited` or `overloaded`, with how long to wait (`retry_after`): it would take too long. No
                request was made.
        """
        tokens = tokens or int(self._usual_tokens)
        now = self._clock.monotonic()
        ahead = len(self._queue)
        if refusal := self._refusal(tokens, patience, ahead, self._queued_tokens(), now):
            raise refusal
        if ahead or self._active >= self._window.limit or self._delay(tokens, now):
            await self._wait(_Waiter(tokens, patience))
            now = self._clock.monotonic()
        return self._begin(tokens, now)

    def heard(self, call: Call) -> None:
        """The reply to a call has begun: if it was the one that tries, it has found that the provider is back."""
        call.probe = False
        self._breaker.heard()

    def leave(self, call: Call, error: BaseException | None) -> None:
        """A call is over: give its place to the next, and learn from how it went."""
        now = self._clock.monotonic()
        failed = call.used is None and isinstance(error, ModelError)
        if call.used is not None:
            self._learn(call, call.used, now - call.began)
        elif isinstance(error, ModelError):
            self._fail(call, error, now)
        else:
            self._breaker.given_up(probe=call.probe)
        self._active -= 1
        if self._queue:
            self._queue[0].wake()
            if failed or self._hopeless(self._queue[-1], len(self._queue) - 1, 0, now):
                self._reconsider()

    @property
    def wait(self) -> float:
        """Seconds that a call would have to wait if it came now; 0 for none."""
        now = self._clock.monotonic()
        tokens = int(self._usual_tokens)
        turn = self._turn(tokens, len(self._queue), self._queued_tokens(), now)
        return max(turn, self._blocked_until - now, self._breaker.wait)

    def room(self, seconds: float) -> int:
        """How many agents can be kept busy when none shall wait longer for its turn than this; 0 for any number.

        While its provider is being tried after failures: one.
        """
        if self._breaker.tripped:
            return 1
        rates = [bound / 60.0 for bound in (self._bounds.requests_per_minute,) if bound]
        if self._bounds.tokens_per_minute and self._usual_tokens:
            rates.append(self._bounds.tokens_per_minute / 60.0 / self._usual_tokens)
        if self._usual_seconds and self._window.limit < math.inf:
            rates.append(self._window.limit / self._usual_seconds)
        # Little's law: so many are in the queue or in a call when each spends this long there.
        return max(1, int(min(rates) * (seconds + self._usual_seconds))) if rates else 0

    def _queued_tokens(self) -> int:
        return sum(waiter.tokens for waiter in self._queue) if self._tokens else 0

    def _begin(self, tokens: int, now: float) -> Call:
        if self._requests:
            self._requests.take(1, now)
        if self._tokens:
            self._tokens.take(tokens, now)
        self._active += 1
        return Call(self, tokens, now, self._window.epoch, probe=self._breaker.begin())

    def _learn(self, call: Call, used: int, seconds: float) -> None:
        self._window.grow()
        self._breaker.succeeded()
        self._usual_seconds += (seconds - self._usual_seconds) * (_NEWEST if self._usual_seconds else 1.0)
        if used:
            self._usual_tokens += (used - self._usual_tokens) * (_NEWEST if self._usual_tokens else 1.0)
            if self._tokens:
                self._tokens.give(call.tokens - used)

    def _fail(self, call: Call, error: ModelError, now: float) -> None:
        if self._tokens and (error.status or 0) >= _REFUSED:
            self._tokens.give(call.tokens)
        if error.kind in CAPACITY:
            self._window.shrink(call.epoch, self._active)
            if error.retry_after and now + error.retry_after > self._blocked_until:
                self._blocked_until = now + error.retry_after
                self._blocked_by = error.message
        self._breaker.failed(error, probe=call.probe)

    async def _wait(self, waiter: _Waiter) -> None:
        """Wait in the queue until a call may begin."""
        self._queue.append(waiter)
        try:
            while not self._ready(waiter):
                await self._change(waiter)
        finally:
            self._queue.remove(waiter)
            if self._queue:
                self._queue[0].wake()

    def _ready(self, waiter: _Waiter) -> bool:
        if waiter is self._queue[0] and not waiter.refusal:
            now = self._clock.monotonic()
            waiter.refusal = self._refusal(waiter.tokens, waiter.patience, 0, 0, now)
            if not waiter.refusal:
                return self._active < self._window.limit and not self._delay(waiter.tokens, now)
        if waiter.refusal:
            raise waiter.refusal
        return False

    async def _change(self, waiter: _Waiter) -> None:
        """Wait until something has changed for a waiter: the calls before it, or the time."""
        woken = waiter.woken = asyncio.get_running_loop().create_future()
        first = waiter is self._queue[0] and self._active < self._window.limit
        if not first:
            await woken
            return
        async with asyncio.TaskGroup() as group:
            timer = group.create_task(self._clock.sleep(self._delay(waiter.tokens, self._clock.monotonic())))
            timer.add_done_callback(lambda _: waiter.wake())
            await woken
            timer.cancel()

    def _reconsider(self) -> None:
        """Send away those in the queue who would have to wait too long, as things are now."""
        now = self._clock.monotonic()
        ahead = tokens = 0
        for waiter in self._queue:
            waiter.refusal = waiter.refusal or self._hopeless(waiter, ahead, tokens, now)
            if waiter.refusal:
                waiter.wake()
            else:
                ahead += 1
                tokens += waiter.tokens

    def _hopeless(self, waiter: _Waiter, ahead: int, tokens: int, now: float) -> ModelError | None:
        return self._refusal(waiter.tokens, waiter.patience, ahead, tokens, now)

    def _refusal(self, tokens: int, patience: Patience, ahead: int, queued: int, now: float) -> ModelError | None:
        """Why a call behind so many others may not even wait."""
        if refusal := self._breaker.refusal():
            return refusal
        blocked = self._blocked_until - now
        if blocked > patience.block:
            told = f"{self._blocked_by}; no call is made for another {blocked:.0f} s"
            return ModelError("rate_limited", told, retry_after=blocked, asked=False)
        turn = self._turn(tokens, ahead, queued, now)
        if turn > patience.turn:
            told = f"{self._label}: {self._active} calls are under way and {ahead} wait; it would be {turn:.0f} s until the next"
            return ModelError("rate_limited", f"{told} ({self._bound()})", retry_after=turn, asked=False)
        return None

    def _delay(self, tokens: int, now: float) -> float:
        """Seconds until the first of the queue may begin, if there is a place for it."""
        if not self._requests and not self._tokens:
            return max(0.0, self._blocked_until - now)
        return max(self._paced(tokens, 0, 0, now), self._blocked_until - now)

    def _turn(self, tokens: int, ahead: int, queued: int, now: float) -> float:
        """Seconds until it is the turn of a call behind so many others, as far as one can tell."""
        before = ahead + 1 + self._active - self._window.limit
        place = before * self._usual_seconds / self._window.limit if before > 0 else 0.0
        return max(place, self._paced(tokens, ahead, queued, now))

    def _paced(self, tokens: int, ahead: int, queued: int, now: float) -> float:
        """Seconds until the rates allow a call behind so many others."""
        pace = self._requests.wait(1, now, ahead=ahead) if self._requests else 0.0
        return max(pace, self._tokens.wait(tokens, now, ahead=queued)) if self._tokens else pace

    def _bound(self) -> str:
        """What holds calls back, in the words of the settings."""
        bounds = [f"{field} = {value}" for field, value in msgspec.structs.asdict(self._bounds).items() if value]
        if self._window.limit < (self._bounds.concurrency or math.inf):
            bounds.append(f"{self._window.limit:.0f} at once is what the provider takes now")
        return ", ".join(bounds)
