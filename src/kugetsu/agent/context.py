"""What the model is shown of a conversation: as much as fits, and for as long as it can the same from call to call."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import msgspec

from kugetsu.agent.compaction import Compaction, Need, Writer
from kugetsu.agent.view import Prompt, View
from kugetsu.config import CompactionSettings, ContextSettings
from kugetsu.context import ContextBudget, Pruning, prune, turns_within
from kugetsu.errors import ModelError
from kugetsu.events import ContextCompacted, ContextMeasured, ContextPruned, EventSink
from kugetsu.failpoints import reach
from kugetsu.protocols import Model
from kugetsu.sessions import Compacted, Pruned, Session

Commit: TypeAlias = Callable[[Pruned | Compacted], Awaitable[None]]

_WORTH_IT: Final = 8
"""What frees less than one part of so many of the window waits: each pruning costs the provider's cache most of what it has."""

_WRONG_BY: Final = 20
"""One part of so many of a prompt is kept for what its estimate is wrong by, where the reply may take the rest."""

_LEAST_WINDOW: Final = 2_048
"""Tokens; a smaller window is not assumed, only believed when the provider names it."""

_TOO_LARGE: Final = (
    "split the task, choose a model with a larger context window, or say in `context_window` of the model's settings how "
    "large it is"
)


class Context:
    """Keeps what one agent sends within its model's window.

    Args:
        session: the conversation.
        model: what is known of it may change.
        view: what it is shown of the session.
        settings: when texts give way.
        compaction: when whole turns do.
        writer: writes the notes that stand for them.
        recall: whether there is a tool that shows what gave way.
        commit: writes down what does, and takes it out of the session.
        publish: takes events.
    """

    def __init__(
        self,
        session: Session,
        model: Model,
        view: View,
        settings: ContextSettings,
        compaction: CompactionSettings,
        writer: Writer,
        *,
        recall: bool,
        commit: Commit,
        publish: EventSink,
    ) -> None:
        self._session = session
        self._model = model
        self._view = view
        self._settings = settings
        self._recall = recall
        self._commit = commit
        self._publish = publish
        self._compact_at = compaction.at
        self._compaction = Compaction(
            session, view.meter, writer, most=compaction.most_tokens, commit=commit, publish=publish
        )
        self._prompt = Prompt((), 0, 0)
        self._corrected = (0, 0)
        self._learned = 0
        self._enough_until = 0

    @property
    def prompt(self) -> Prompt:
        """What would be sent, as it was last looked at."""
        return self._prompt

    @property
    def room_for_reply(self) -> int:
        """How many tokens the reply may have; 0 for any number."""
        about = self._prompt.about
        room = self._budget.reply(about + about // _WRONG_BY)
        return room if 0 < room < self._model.info.max_output else 0

    async def fit(self) -> Prompt:
        """Make sure that the next prompt fits, as far as that can be told, and return it.

        Raises:
            LeaseLostError, RecordError: what gives way could not be written down.
        """
        budget = self._budget
        tokens = await self._look()
        if self._settings.prune_at and tokens > max(budget.trigger, min(self._enough_until, budget.most)):
            while await self._make_room(self._prompt.about, budget) and self._prompt.about > budget.most:
                pass  # what goes is estimated, so that less may have gone than it seemed
        return self._prompt

    async def overflowed(self, error: ModelError) -> None:
        """A call did not fit: learn how large the window is, and make room for another try.

        Raises:
            ModelError: there is nothing left that could give way.
            LeaseLostError, RecordError: as for `fit`.
        """
        sent, meter = self._prompt.about, self._view.meter
        window = min(self._budget.window, error.window or max(_LEAST_WINDOW, sent * 4 // 5))
        if error.tells_of_window:
            self._learned = window
        budget = msgspec.structs.replace(self._budget, window=window)
        before = meter.ratio
        meter.correct(sent, error.prompt or budget.window - self._model.info.max_output)
        tokens = round(sent * meter.ratio / before)
        if self._settings.prune_at and await self._make_room(tokens, budget, hard=True):
            return
        if tokens > budget.most or not error.window:
            raise ModelError(error.kind, error.message, fix=_TOO_LARGE, status=error.status) from None
        self._corrected = self._session.turn, tokens  # it fits with a shorter reply

    def report(self) -> None:
        """Say how well a cache could have served what was sent, if anything was."""
        prefix = self._view.prefix
        if prefix.requests:
            self._publish(ContextMeasured(requests=prefix.requests, sent=prefix.sent, repeated=prefix.repeated))

    @property
    def _budget(self) -> ContextBudget:
        info, settings = self._model.info, self._settings
        window = min(info.context_window, self._learned or info.context_window)
        return ContextBudget(window, info.max_output, settings.prune_at, settings.prune_to, self._compact_at)

    async def _look(self) -> int:
        """Look at what would be sent now; returns about how many tokens it has."""
        self._prompt = await self._view.look()
        turn, tokens = self._corrected
        if turn == self._session.turn and tokens > self._prompt.about:
            self._prompt = msgspec.structs.replace(self._prompt, about=tokens)
        return self._prompt.about

    async def _look_anew(self) -> int:
        """The same after something gave way."""
        self._corrected, self._enough_until = (0, 0), 0
        return await self._look()

    async def _make_room(self, tokens: int, budget: ContextBudget, *, hard: bool = False) -> bool:
        """Let old texts give way, or old turns where that leaves too much; whether any did."""
        pruning, left = self._prunable(tokens, budget)
        if self._compact_at and left > budget.bearable:
            need: Need = "wanted" if left <= budget.most else "overflow" if hard else "due"
            after = await self._compact(tokens, budget, pruning, left, need)
            if after is not None:
                if after > budget.trigger:
                    await self._prune(after, self._prunable(after, budget)[0])
                return True
        if not hard and tokens <= budget.most and (tokens - left) * _WORTH_IT < budget.window:
            self._enough_until = tokens + budget.window // _WORTH_IT // 2
            return False
        return await self._prune(tokens, pruning)

    def _prunable(self, tokens: int, budget: ContextBudget) -> tuple[Pruning, int]:
        """What texts can give way, and about how many tokens that leaves."""
        meter = self._view.meter
        for keep in dict.fromkeys((self._keep_turns(budget), 1, 0)):
            pruning = prune(
                self._session.messages,
                meter.estimated(tokens - (budget.target if keep else budget.most)),
                keep=keep,
                turns=self._session.seen_turns(),
                recall=self._recall,
            )
            left = tokens - round(pruning.freed * meter.ratio)
            if left <= budget.most:
                break
        return pruning, left

    def _keep_turns(self, budget: ContextBudget) -> int:
        """How many turns at the end stay as they are."""
        messages, meter = self._session.messages, self._view.meter
        sizes = meter.sizes.look(messages)
        return turns_within(messages, sizes, meter.estimated(budget.target), most=self._settings.keep_turns)

    async def _prune(self, tokens: int, pruning: Pruning) -> bool:
        if not pruning.stubs:
            return False
        turn = self._session.turn
        await self._commit(Pruned(turn, pruning.stubs, self._view.meter.ratio))
        reach("pruning.committed")
        after = await self._look_anew()
        self._publish(ContextPruned(turn=turn, texts=len(pruning.stubs), before=tokens, after=after))
        return True

    async def _compact(self, tokens: int, budget: ContextBudget, pruning: Pruning, left: int, need: Need) -> int | None:
        """Let old turns give way; returns about how many tokens that leaves, None when none did."""
        messages = len(self._session.messages)
        keep_turns = self._keep_turns(budget)
        done = await self._compaction.compact(budget, pruning.stubs, left, keep_turns=keep_turns, need=need)
        if done is None:
            return None
        self._view.compacted(messages - len(self._session.messages))
        after = await self._look_anew()
        self._publish(
            ContextCompacted(
                turn=done.turn, through=done.through, model=done.model, usage=done.usage, before=tokens, after=after
            )
        )
        return after
