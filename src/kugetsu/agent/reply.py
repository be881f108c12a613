"""One reply of the model: streamed, and tried again when it fails in a way that may pass."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TypeAlias, cast

from kugetsu.agent.retry import RetryPolicy
from kugetsu.errors import ModelError
from kugetsu.events import EventSink, ModelRetried, ReplyDelta
from kugetsu.messages import AssistantMessage, Delta, ReplyBuilder, TextDelta, ThinkingDelta
from kugetsu.protocols import Clock, Model, ModelRequest

Keep: TypeAlias = Callable[[AssistantMessage], None]
Prepare: TypeAlias = Callable[[], Awaitable[ModelRequest]]
Waste: TypeAlias = Callable[[AssistantMessage], Awaitable[None]]
Shorten: TypeAlias = Callable[[ModelError], Awaitable[None]]


class Replies:
    """Asks one model for replies, with one policy."""

    def __init__(self, model: Model, policy: RetryPolicy, clock: Clock, publish: EventSink) -> None:
        self._model = model
        self._policy = policy
        self._clock = clock
        self._publish = publish

    async def ask(
        self, prepare: Prepare, turn: int, keep: Keep, waste: Waste, shorten: Shorten | None = None
    ) -> AssistantMessage:
        """Get a reply.

        Args:
            prepare: makes the request, anew for each try.
            turn: for events.
            keep: gets what had arrived when this is cancelled in mid-reply.
            waste: gets what had arrived of a reply that broke off; its provider may charge for it.
            shorten: makes room when the request did not fit; it is then made once more, beyond the tries of the policy.

        Raises:
            ModelError: it failed for good, or too often.
        """
        attempt, held_back = 1, 0.0
        while True:
            try:
                return await self._stream(await prepare(), turn, keep, waste)
            except ModelError as error:
                if error.kind == "context_overflow" and shorten:
                    await shorten(error)
                    shorten = None
                    continue
                delay = self._policy.delay(error, attempt, held_back)
                if delay is None:
                    raise self._final(error) from None
                self._publish(
                    ModelRetried(turn=turn, failure=error.kind, message=str(error), attempt=attempt, delay=delay)
                )
                await self._clock.sleep(delay)
                attempt, held_back = (attempt + 1, 0.0) if error.asked else (attempt, held_back + delay)

    def _final(self, error: ModelError) -> ModelError:
        """The error that ends the run; it says when a longer wait would be needed than is waited for."""
        policy, wait = self._policy, error.retry_after
        if wait is None or wait <= policy.longest:
            return error
        if policy.park_seconds is None or not error.retryable:
            fix = f"it asked to wait {wait:.0f} s; up to retry.cap_seconds = {policy.cap_seconds:g} is waited"
        else:
            fix = f"a wait of {wait:.0f} s, longer than {policy.longest:g} (retry.park_seconds), takes no slot"
        return ModelError(error.kind, error.message, fix=fix, retry_after=error.retry_after, status=error.status)

    async def _stream(self, request: ModelRequest, turn: int, keep: Keep, waste: Waste) -> AssistantMessage:
        builder = ReplyBuilder(self._model.name)
        stream = cast("AsyncGenerator[Delta, None]", self._model.stream(request))
        try:
            async with aclosing(stream):
                async for delta in stream:
                    builder.add(delta)
                    self._show(delta, turn)
            if not builder.ended:
                raise self._unended()
        except asyncio.CancelledError:
            keep(builder.message())
            raise
        except ModelError:
            if (arrived := builder.everything()).content:
                await waste(arrived)
            raise
        return builder.message()

    def _unended(self) -> ModelError:
        return ModelError("malformed", f"{self._model.name} ended its reply without saying why")

    def _show(self, delta: Delta, turn: int) -> None:
        if isinstance(delta, TextDelta):
            self._publish(ReplyDelta(turn=turn, text=delta.text))
        elif isinstance(delta, ThinkingDelta) and delta.text:
            self._publish(ReplyDelta(turn=turn, thinking=delta.text))
