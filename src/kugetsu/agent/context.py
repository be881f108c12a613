"""What the model is shown of a conversation: as much as fits, and for as long as it can the same from call to call."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

import msgspec

from kugetsu.config import ContextSettings
from kugetsu.context import ContextBudget, Meter, Prefix, Stub, estimate, prune
from kugetsu.errors import ModelError
from kugetsu.events import ContextMeasured, ContextPruned, EventSink
from kugetsu.messages import Message
from kugetsu.protocols import Model
from kugetsu.sessions import Pruned, Session

Commit: TypeAlias = Callable[[Pruned], Awaitable[None]]

_WORTH_IT: Final = 8
"""What frees less than one part of so many of the window waits: each pruning costs the provider's cache most of what it has."""

_LEAST_WINDOW: Final = 2_048
"""Tokens; a smaller window is not assumed, only believed when the provider names it."""

_TOO_MANY_BYTES: Final = 413
"""Status of a request that is too large in bytes, by its pictures perhaps: it says nothing of a window in tokens."""

_TOO_LARGE: Final = (
    "split the task, choose a model with a larger context window, or say in `context_window` of the model's settings how "
    "large it is"
)


class Context:
    """Keeps what one agent sends within its model's window.

    Args:
        session: the conversation.
        model: what is known of it may change.
        settings: when what gives way.
        frame: estimate of the system prompt and all that is said of tools.
        recall: whether there is a tool that shows what gave way.
        commit: writes down what does, and takes it out of the session.
        publish: takes events.
    """

    def __init__(
        self,
        session: Session,
        model: Model,
        settings: ContextSettings,
        *,
        frame: int,
        recall: bool,
        commit: Commit,
        publish: EventSink,
    ) -> None:
        self._session = session
        self._model = model
        self._settings = settings
        self._recall = recall
        self._commit = commit
        self._publish = publish
        self._meter = Meter(frame)
        self._prefix = Prefix(frame)
        self._learned = 0
        self._enough_until = 0
        self._tokens = 0

    async def fit(self) -> int:
        """Make sure that the next prompt fits, as far as that can be told; returns about how many tokens it has.

        Raises:
            LeaseLostError, RecordError: what gives way could not be written down.
        """
        budget = self._budget
        self._tokens = tokens = self._measure()
        if self._settings.prune_at and tokens > max(budget.trigger, min(self._enough_until, budget.most)):
            await self._make_room(tokens, budget)
        return self._tokens

    def longest_reply(self, asked: int) -> int:
        """How many tokens the reply may have; 0 for any number.

        Args:
            asked: how many it may have for other reasons, 0 for any number.
        """
        room = self._budget.reply(self._tokens)
        return room if 0 < room < (asked or self._model.info.max_output) else asked

    def sends(self, messages: Sequence[Message]) -> None:
        """A request with these messages goes out."""
        own = messages is self._session.messages
        self._prefix.send(messages, self._meter.sizes.look(messages) if own else [estimate(one) for one in messages])

    async def overflowed(self, error: ModelError) -> None:
        """A call did not fit: learn how large the window is, and make room for another try.

        Raises:
            ModelError: there is nothing left that could give way.
            LeaseLostError, RecordError: as for `fit`.
        """
        sent = self._tokens
        window = min(self._budget.window, error.window or max(_LEAST_WINDOW, sent * 4 // 5))
        if error.window or error.status != _TOO_MANY_BYTES:
            self._learned = window
        budget = msgspec.structs.replace(self._budget, window=window)
        before = self._meter.ratio
        self._meter.correct(sent, error.prompt or budget.window - self._model.info.max_output)
        tokens = round(sent * self._meter.ratio / before)
        if self._settings.prune_at and await self._make_room(tokens, budget, hard=True):
            return
        if tokens > budget.most or not error.window:
            raise ModelError(error.kind, error.message, fix=_TOO_LARGE, status=error.status) from None
        self._tokens = tokens

    def report(self) -> None:
        """Say how well a cache could have served what was sent, if anything was."""
        if self._prefix.requests:
            self._publish(
                ContextMeasured(requests=self._prefix.requests, sent=self._prefix.sent, repeated=self._prefix.repeated)
            )

    @property
    def _budget(self) -> ContextBudget:
        info, settings = self._model.info, self._settings
        window = min(info.context_window, self._learned or info.context_window)
        return ContextBudget(window, info.max_output, settings.prune_at, settings.prune_to)

    def _measure(self) -> int:
        return self._meter.measure(self._session.messages, self._session.same_from)

    async def _make_room(self, tokens: int, budget: ContextBudget, *, hard: bool = False) -> bool:
        """Let old texts give way; whether any did."""
        stubs: tuple[Stub, ...] = ()
        for keep in dict.fromkeys((self._settings.keep_turns, 1, 0)):
            pruning = prune(
                self._session.messages,
                self._meter.estimated(tokens - (budget.target if keep else budget.most)),
                keep=keep,
                turns=self._session.turns()[1:],
                recall=self._recall,
            )
            left = tokens - round(pruning.freed * self._meter.ratio)
            stubs = pruning.stubs
            if left <= budget.most:
                break
        if not stubs:
            return False
        if not hard and tokens <= budget.most and (tokens - left) * _WORTH_IT < budget.window:
            self._enough_until = tokens + budget.window // _WORTH_IT // 2
            return False
        turn = self._session.turn
        await self._commit(Pruned(turn, stubs))
        self._tokens, self._enough_until = self._measure(), 0
        self._publish(ContextPruned(turn=turn, texts=len(stubs), before=tokens, after=self._tokens))
        return True
