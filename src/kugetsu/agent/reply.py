"""One reply of the model: streamed, and tried again when it fails in a way that may pass."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypeAlias, cast

from kugetsu.agent.retry import RetryPolicy
from kugetsu.errors import ModelError
from kugetsu.events import EventSink, ModelRetried, ReplyDelta
from kugetsu.messages import AssistantMessage, Delta, ReplyBuilder, TextDelta, ThinkingDelta
from kugetsu.protocols import Clock, Model, ModelRequest

Keep: TypeAlias = Callable[[AssistantMessage], None]


class Replies:
    """Asks one model for replies, with one policy."""

    def __init__(self, model: Model, policy: RetryPolicy, clock: Clock, publish: EventSink) -> None:
        self._model = model
        self._policy = policy
        self._clock = clock
        self._publish = publish

    async def ask(self, request: ModelRequest, turn: int, keep: Keep) -> AssistantMessage:
        """Get the reply to a request. When it is cancelled in mid-reply, `keep` gets what had arrived.

        Raises:
            ModelError: it failed for good, or too often.
        """
        attempt = 1
        while True:
            try:
                return await self._stream(request, turn, keep)
            except ModelError as error:
                delay = self._policy.delay(error, attempt)
                if delay is None:
                    raise self._final(error) from None
                self._publish(
                    ModelRetried(turn=turn, failure=error.kind, message=str(error), attempt=attempt, delay=delay)
                )
                await self._clock.sleep(delay)
                attempt += 1

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

    async def _stream(self, request: ModelRequest, turn: int, keep: Keep) -> AssistantMessage:
        builder = ReplyBuilder(self._model.name)
        stream = cast("AsyncGenerator[Delta, None]", self._model.stream(request))
        try:
            async with aclosing(stream):
                async for delta in stream:
                    builder.add(delta)
                    self._show(delta, turn)
        except asyncio.CancelledError:
            keep(builder.message())
            raise
        if not builder.ended:
            raise ModelError("malformed", f"{self._model.name} ended its reply without saying why")
        return builder.message()

    def _show(self, delta: Delta, turn: int) -> None:
        if isinstance(delta, TextDelta):
            self._publish(ReplyDelta(turn=turn, text=delta.text))
        elif isinstance(delta, ThinkingDelta) and delta.text:
            self._publish(ReplyDelta(turn=turn, thinking=delta.text))
