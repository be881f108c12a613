"""Asks a model for the notes that stand for old turns of a conversation."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final, TypeAlias

from kugetsu.agent.limits import CallCost
from kugetsu.agent.reply import Replies
from kugetsu.agent.retry import RetryPolicy
from kugetsu.agent.spending import Spending
from kugetsu.context import SUMMARY_SYSTEM, Summary, estimate, estimate_text, transcript
from kugetsu.errors import LimitReachedError, ModelError, SummaryError
from kugetsu.events import Event, EventSink, ModelRetried, ReplyDelta
from kugetsu.messages import AssistantMessage, Message, Usage, UserMessage, most_tokens, most_tokens_of_text, user
from kugetsu.protocols import Clock, Model, ModelRequest
from kugetsu.tasks import Spent

_ASKED: Final = """\
Write the notes on this work, under these headings, each with short points; leave out a heading that has none:

## Goal
## Constraints and preferences
## Decisions (and why)
## Done
## In progress
## Next
## Open questions (word for word)
## Commands that work
## Facts worth keeping

Keep exact names, paths, values and messages of errors that still matter. What the user said is kept apart, as are lists of
files that were read and changed: do not repeat them. At most {words} words."""

_UPDATE: Final = (
    "There are notes on what came before. Bring them up to date: keep what still holds, move what is done, drop what no longer "
    "matters."
)

_MOST_READ: Final = 60_000
"""Tokens of a conversation that are read at most, whatever would fit."""

_WORDS: Final = 0.4
"""Words that are asked for, for each token that notes may have."""

_TRIES: Final = 3
_LONGEST_WAIT: Final = 15.0
"""Seconds between two tries: there is another way, so nobody waits long."""

_LONGEST_TRYING: Final = 60.0
"""Seconds after which a failure is the last: a model that says nothing would keep the task waiting once for each try."""

_LESS: Final = 3
"""A second try after an overflow reads one part of so many."""

_MARGIN: Final = 50
"""One part of so many of the window is kept for what an estimate is wrong by."""

_BEAT: Final = 1.0
"""Seconds between two signs of life while notes are written."""

Waste: TypeAlias = Callable[[Usage], Awaitable[None]]


class Summarizer:
    """Has notes written by one model.

    Args:
        model: writes them.
        spending: allows the calls.
        policy: how failed calls are tried again; here fewer times.
        conversation: key of the calls, see `ModelRequest`.
        clock: for waits.
        publish: takes events.
        waste: counts what brought no notes.
        leaving: what must be left for the agent to go on without notes.

    Attributes:
        unbooked: what calls may have cost that were cut, and nobody counted.
    """

    def __init__(
        self,
        model: Model,
        spending: Spending,
        policy: RetryPolicy,
        *,
        conversation: str,
        clock: Clock,
        publish: EventSink,
        waste: Waste,
        leaving: Callable[[], Spent],
    ) -> None:
        self.unbooked = Usage()
        self._model = model
        self._spending = spending
        self._conversation = conversation
        self._clock = clock
        self._publish = publish
        self._waste = waste
        self._leaving = leaving
        self._cost: CallCost | None = None
        self._beaten = -inf
        self._policy = policy

    async def write(
        self, messages: Sequence[Message], before: Summary | None, *, turn: int, most: int, ratio: float
    ) -> AssistantMessage:
        """Have notes written on messages; see `compaction.Writer`.

        Returns:
            The reply; its text is the notes.

        Raises:
            SummaryError: there are none that could be used.
            LeaseLostError, RecordError: what it cost could not be written down.
        """
        notes = before.text if before else ""
        room = self._room(notes, ratio)
        prompt = _request_for(messages, notes, room, most)

        async def prepare() -> ModelRequest:
            return await self._request(prompt, most, ratio)

        async def shorten(error: ModelError) -> None:
            nonlocal prompt
            self._publish(ModelRetried(turn=turn, failure=error.kind, message=str(error), attempt=1, delay=0.0))
            prompt = _request_for(messages, notes, room // _LESS, most)

        policy = self._fewer_tries()
        replies = Replies(self._model, policy, self._clock, self._pass_on)
        try:
            reply = await replies.ask(prepare, turn, self._keep, self._broken_off, shorten)
        except LimitReachedError as error:
            raise SummaryError(error.message) from None  # what it advises is for a task that stops
        except ModelError as error:
            raise SummaryError(_failed(error, policy.longest)) from None
        if reason := _wrong(reply, most):
            await self._waste(reply.usage)
            raise SummaryError(f"{reply.model} {reason}")
        return reply

    def _fewer_tries(self) -> RetryPolicy:
        """How calls from now on are tried again."""
        policy, clock = self._policy, self._clock
        attempts, longest = min(policy.attempts, _TRIES), min(policy.cap_seconds, _LONGEST_WAIT)
        until = clock.monotonic() + _LONGEST_TRYING
        return _Hurried(attempts, policy.base_seconds, longest, policy.park_seconds, clock=clock, until=until)

    def _room(self, notes: str, ratio: float) -> int:
        """How many tokens of the conversation are read, as `estimate` counts them."""
        room = int(min(_MOST_READ, self._model.info.context_window // 2) / ratio)
        return max(room - estimate_text(notes), room // 4)

    async def _request(self, prompt: UserMessage, most: int, ratio: float) -> ModelRequest:
        info, messages = self._model.info, (prompt,)
        about = round(ratio * (estimate_text(SUMMARY_SYSTEM) + estimate(prompt)))
        left = info.context_window - info.context_window // _MARGIN - about
        longest = min(round(2 * ratio * most), info.max_output, left)  # reasoning counts too
        if longest < min(most, info.max_output) // 2:
            raise SummaryError(
                f"the window of {self._model.name} ({info.context_window:,} tokens) is too small for notes"
            )
        cost = self._cost = CallCost(
            most_tokens_of_text(SUMMARY_SYSTEM) + most_tokens(messages), info, turns=0, leaving=self._leaving()
        )
        if not self._spending.fits(cost, longest):
            raise SummaryError("the task's limit of tokens is nearly used up")
        output = await self._spending.allow(cost, longest, _others_first)
        return ModelRequest(
            SUMMARY_SYSTEM,
            messages,
            conversation=f"{self._conversation}.summary",
            input_tokens=cost.prompt,
            max_output=output,
            about_tokens=about,
        )

    async def _broken_off(self, arrived: AssistantMessage) -> None:
        await self._waste(self._most_for(arrived))

    def _keep(self, arrived: AssistantMessage) -> None:
        """The run was cut when so much had arrived."""
        self.unbooked += self._most_for(arrived) if arrived.stop == "aborted" else arrived.usage

    def _most_for(self, arrived: AssistantMessage) -> Usage:
        return self._cost.broken_off(arrived) if self._cost else Usage()

    def _pass_on(self, event: Event) -> None:
        """Notes are no words of the agent: that they stream is shown, but not what."""
        if isinstance(event, ModelRetried):
            self._publish(event)
        elif isinstance(event, ReplyDelta) and self._clock.monotonic() >= self._beaten + _BEAT:
            self._beaten = self._clock.monotonic()
            self._publish(ReplyDelta(turn=event.turn))


@dataclass(frozen=True, kw_only=True)
class _Hurried(RetryPolicy):
    """Tries nothing again after a time, in seconds of a monotonic clock."""

    clock: Clock
    until: float

    def delay(self, error: ModelError, attempt: int, held_back: float = 0.0) -> float | None:
        """Seconds to wait; see `RetryPolicy`."""
        return super().delay(error, attempt, held_back) if self.clock.monotonic() < self.until else None


def _failed(error: ModelError, longest: float) -> str:
    """How a call failed, without advice on settings that have no say here: how long notes are waited for is not one."""
    if error.retry_after is None or error.retry_after <= longest:
        return str(error)
    return f"{error.message} (notes are waited for up to {longest:g} s; it asked for {error.retry_after:.0f})"


def _wrong(reply: AssistantMessage, most: int) -> str:
    """Why notes cannot be used; empty when they can."""
    if reply.calls:
        return f"called {reply.calls[0].name[:64]} instead of writing notes"
    if reply.stop != "end":
        return "was cut before its notes were whole"
    if not reply.text.strip():
        return "wrote no notes"
    if (tokens := estimate_text(reply.text)) > most:
        return f"wrote notes of about {tokens:,} tokens, where {most:,} are allowed"
    return ""


def _request_for(messages: Sequence[Message], notes: str, room: int, most: int) -> UserMessage:
    parts = [f"<work>\n{transcript(messages, room)}\n</work>"]
    if notes:
        parts = [f"<notes>\n{notes}\n</notes>", *parts, _UPDATE]
    return user("\n\n".join([*parts, _ASKED.replace("{words}", f"{int(most * _WORDS):,}")]))


def _others_first() -> None:
    raise SummaryError("what is left of the day's budget is set aside for other calls")
