"""A model as one task has it: behind the limits that all share, with its own patience, and with one to fall back on."""

import math
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

from kugetsu.errors import ModelError
from kugetsu.messages import Delta, ReplyStart
from kugetsu.models.http_model import HttpModel
from kugetsu.models.limiter import CAPACITY, Patience
from kugetsu.protocols import ModelInfo, ModelRequest


class OpenedModel:
    """Implements `protocols.Model`. Light: the model itself is shared.

    Args:
        own: the one that was asked for.
        fallback: asked while that one has no capacity; None for none.
        patience: how long a call may wait for its own.
        longest: seconds; when its own has no capacity for longer than this, the fallback is asked.

    Attributes:
        name: of its own.
        own: see above.
    """

    def __init__(self, own: HttpModel, fallback: HttpModel | None, patience: Patience, longest: float) -> None:
        self.name = own.name
        self.own = own
        self._fallback = fallback
        self._patience = patience
        self._longest = longest

    @property
    def info(self) -> ModelInfo:
        """What is known now, and holds for both."""
        return _common(self.own.info, self._fallback.info) if self._fallback else self.own.info

    def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
        """Ask for one reply, piece by piece; see `protocols.Model`. The fallback's begins with a `ReplyStart`.

        Raises:
            ModelError: the call failed; when neither has capacity, that of the one which has some earlier.
        """
        if self._fallback is None:
            return self.own.stream(request, self._patience)
        return self._with_fallback(request, self._fallback)

    async def _with_fallback(self, request: ModelRequest, fallback: HttpModel) -> AsyncGenerator[Delta, None]:
        patience = Patience(min(self._patience.block, self._longest), min(self._patience.turn, self._longest))
        begun = False
        try:
            async with _replies(self.own, request, patience) as stream:
                async for delta in stream:
                    begun = True
                    yield delta
                return
        except ModelError as error:
            if begun or not self._gives_way(error):
                raise
            failure = error
        try:
            async with _replies(fallback, request, patience) as stream:
                async for delta in stream:
                    if not begun:
                        begun = True
                        yield ReplyStart(fallback.name)
                    yield delta
        except ModelError as error:
            # With less in it the fallback may reply, and its own will not without somebody's help.
            if begun or (error.kind == "context_overflow" and not failure.retryable):
                raise
            failure = _earlier(failure, error)
        else:
            return
        raise failure

    def _gives_way(self, error: ModelError) -> bool:
        """Whether a failure means that there is no capacity, for long."""
        if error.kind == "quota":
            return True
        return error.kind in CAPACITY and (error.retry_after or 0.0) > self._longest


def _replies(model: HttpModel, request: ModelRequest, patience: Patience) -> "aclosing[AsyncGenerator[Delta, None]]":
    return aclosing(cast("AsyncGenerator[Delta, None]", model.stream(request, patience)))


def _earlier(own: ModelError, other: ModelError) -> ModelError:
    """The failure after which there is capacity again first; it tells of both."""
    first = own if _when(own) <= _when(other) else other
    told = f"{own.message}; and the fallback: {other.message}"
    asked = own.asked or other.asked
    return ModelError(first.kind, told, fix=first.fix, retry_after=first.retry_after, status=first.status, asked=asked)


def _when(error: ModelError) -> float:
    return (error.retry_after or 0.0) if error.retryable else math.inf


def _common(own: ModelInfo, other: ModelInfo) -> ModelInfo:
    """What may be relied on, whichever of the two replies."""
    return ModelInfo(
        context_window=min(own.context_window, other.context_window),
        max_output=min(own.max_output, other.max_output),
        images=own.images and other.images,
        priced=own.priced and other.priced,
        usd_input=max(own.usd_input, other.usd_input),
        usd_output=max(own.usd_output, other.usd_output),
        usd_call=max(own.usd_call, other.usd_call),
        longest_reply=max(own.unbounded_reply, other.unbounded_reply),
    )
