"""Takes the oldest turns out of a conversation when leaving out texts no longer helps enough."""

from collections.abc import Awaitable, Callable, Sequence
from itertools import accumulate
from math import inf
from typing import Final, Literal, Protocol, TypeAlias

import msgspec

from kugetsu.context import (
    ContextBudget,
    Exchange,
    Meter,
    Stub,
    Summary,
    cut_point,
    estimate,
    estimate_text,
    gather,
    placed,
    shortened,
    summary_message,
    transcript,
)
from kugetsu.errors import SummaryError
from kugetsu.events import CompactionFailed, EventSink
from kugetsu.failpoints import reach
from kugetsu.messages import SPOKEN, AssistantMessage, Message, UserMessage
from kugetsu.sessions import Compacted, Session

Need: TypeAlias = Literal["wanted", "due", "overflow"]
"""Why turns are to go: fewer tokens are wanted, the conversation is about not to fit, or its provider said that it does not."""

_WORTH_IT: Final = 8
_DUE: Final = 32
"""What goes must be at least one part of so many of the window, the first where it is only wanted: so there is always that
much new work between two."""

_LEAST: Final = 256
"""Tokens below which nothing goes, whatever the need: a summary would take as many."""

_PAUSE: Final = 5
"""Turns that pass after a failure, or when little goes, before anybody is asked again."""

_NOTES: Final = 8
"""Notes take at most one part of so many of the window, lists of files as much together, and so do questions with answers."""

_OLD_QUESTION: Final = 200
"""Characters of a question whose answer alone is to be kept."""

_UNWRITTEN: Final = "## Not summarised: the beginning and the end of what was done, as it was said"

Commit: TypeAlias = Callable[[Compacted], Awaitable[None]]


class Writer(Protocol):
    """Writes notes on messages; see `Summarizer`."""

    async def write(
        self, messages: Sequence[Message], before: Summary | None, *, turn: int, most: int, ratio: float
    ) -> AssistantMessage:
        """Write notes.

        Args:
            messages: what they are on.
            before: the notes on what came before these.
            turn: for events.
            most: tokens of the notes, as `estimate` counts them.
            ratio: tokens of the conversation's provider for each that is estimated.

        Raises:
            SummaryError: there are none.
            LeaseLostError, RecordError: what it cost could not be written down.
        """
        ...


class _Going(msgspec.Struct, frozen=True):
    """What goes.

    Attributes:
        through: the last turn of it.
        messages: all up to there, users' words included, without the notes before.
        summary: what can be computed of it.
        freed: about how many tokens that frees, beyond what stubs would.
        won: the same, less what the summary says more than the one before, notes left out.
    """

    through: int
    messages: list[Message]
    summary: Summary
    freed: int
    won: int


class Compaction:
    """Takes turns out of one conversation.

    Args:
        session: the conversation.
        meter: measures it.
        writer: writes the notes.
        most: tokens of the notes; in a small window they have fewer.
        commit: writes a compaction down, and carries it out in the session.
        publish: takes events.
    """

    def __init__(
        self, session: Session, meter: Meter, writer: Writer, *, most: int, commit: Commit, publish: EventSink
    ) -> None:
        self._session = session
        self._meter = meter
        self._writer = writer
        self._most = most
        self._commit = commit
        self._publish = publish
        self._asked = self._failed = -inf

    async def compact(
        self, budget: ContextBudget, stubs: Sequence[Stub], left: int, *, keep_turns: int, need: Need
    ) -> Compacted | None:
        """Take out what can go; None when nothing was.

        Never twice without work between: what goes is at least an eighth of the window, beyond what stubs would free; a
        part of 32 where it is due, a whole turn after an overflow. The summary before and what users said do not count.
        Nobody is asked for notes on less than that eighth before some turns have passed, nor after a failure.

        Args:
            budget: the window.
            stubs: what could take the place of texts instead.
            left: tokens that these would leave.
            keep_turns: so many turns at the end stay.
            need: if more than wanted, turns go without notes where there are none.

        Raises:
            LeaseLostError, RecordError: it could not be written down.
        """
        going = self._going(budget, stubs, left, keep_turns, need)
        if going is None:
            return None
        must = need != "wanted"
        turn, before = self._session.turn, self._session.summary
        most = self._most_for(going, before, budget)
        reply = await self._ask(going, before, most) if self._may_ask(going, budget, must=must) else None
        if reply is None and not must:
            return None
        text = reply.text.strip() if reply else _unwritten(going.messages, before, most)
        summary = msgspec.structs.replace(going.summary, text=text)
        entry = Compacted(turn, going.through, summary, ratio=self._meter.ratio)
        if reply:
            entry = msgspec.structs.replace(entry, model=reply.model, usage=reply.usage)
        reach("summary.received")
        await self._commit(entry)
        reach("compaction.committed")
        return entry

    def _may_ask(self, going: _Going, budget: ContextBudget, *, must: bool) -> bool:
        turn = self._session.turn
        rested = turn >= self._failed + (1 if must else _PAUSE)
        return rested and (going.freed >= self._part(budget, _WORTH_IT) or turn >= self._asked + _PAUSE)

    async def _ask(self, going: _Going, before: Summary | None, most: int) -> AssistantMessage | None:
        """Have notes written; None when that failed."""
        self._asked = turn = self._session.turn
        try:
            return await self._writer.write(going.messages, before, turn=turn, most=most, ratio=self._meter.ratio)
        except SummaryError as error:
            self._failed = turn
            self._publish(CompactionFailed(turn=turn, message=str(error)))
            return None

    def _most_for(self, going: _Going, before: Summary | None, budget: ContextBudget) -> int:
        """How long the notes may be: never so long that nothing is won."""
        old = estimate_text(before.text) if before else 0
        return min(self._most, self._part(budget, _NOTES), old + going.won // 2)

    def _part(self, budget: ContextBudget, parts: int) -> int:
        """One part of so many of the window, as `estimate` counts tokens."""
        return self._meter.estimated(budget.window // parts)

    def _going(
        self, budget: ContextBudget, stubs: Sequence[Stub], left: int, keep_turns: int, need: Need
    ) -> _Going | None:
        """What goes; None when nothing can, or too little would."""
        messages = self._session.messages
        sizes = self._meter.sizes.look(messages)
        pruned = list(sizes)
        for place, message in placed(messages, stubs).items():
            pruned[place] = estimate(message)
        parts = {"wanted": _WORTH_IT, "due": _DUE, "overflow": budget.window}[need]
        kept = self._meter.estimated(budget.target // 2)
        found = None
        for tokens, turns in ((kept, keep_turns), (0, 1))[: 1 if need == "wanted" else 2]:
            cut = cut_point(messages, sizes, keep=tokens, turns=turns)
            going = self._before(cut, pruned, budget) if cut else None
            if going and going.freed >= self._part(budget, parts) and going.won >= _LEAST:
                found = going
                if left - self._meter.ratio * (going.won - self._most_for(going, None, budget)) <= budget.most:
                    break
        return found

    def _before(self, cut: int, sizes: Sequence[int], budget: ContextBudget) -> _Going | None:
        """What goes when the conversation is cut at a place; None when that is no whole turn.

        Args:
            cut: the place.
            sizes: tokens of the messages, as stubs would leave them.
            budget: the window.
        """
        messages, before = self._session.messages, self._session.summary
        replies = sum(isinstance(message, AssistantMessage) for message in messages[:cut])
        if not replies:
            return None
        through, going = self._session.seen_turns()[replies - 1], self._through(replies)
        summary = _bounded(gather(going, before), self._part(budget, _NOTES))
        freed = sum(size for message, size in zip(messages[:cut], sizes, strict=False) if not _stays(message))
        old = msgspec.structs.replace(before, text="") if before else Summary()
        more = estimate(summary_message(summary, through)) - (estimate(summary_message(old, through)) if before else 0)
        return _Going(through, going, summary, freed, freed - more)

    def _through(self, replies: int) -> list[Message]:
        """The messages before the reply that comes after so many, without the notes before."""
        counts = accumulate(isinstance(message, AssistantMessage) for message in self._session.messages)
        going = [message for message, count in zip(self._session.messages, counts, strict=True) if count <= replies]
        return [one for one in going if not (isinstance(one, UserMessage) and one.origin == "summary")]


def _stays(message: Message) -> bool:
    """Whether a message is no work: words of users, which stay, and the notes before."""
    return isinstance(message, UserMessage) and (message.origin in SPOKEN or message.origin == "summary")


def _unwritten(going: Sequence[Message], before: Summary | None, most: int) -> str:
    """What stands for notes that nobody wrote, of so many tokens at most."""
    excerpt = _within(f"{_UNWRITTEN}\n\n{transcript(going, most // 2)}", most // 2)
    if not before or not before.text:
        return excerpt
    return f"{_within(before.text, most - estimate_text(excerpt))}\n\n{excerpt}"


def _within(text: str, most: int) -> str:
    """A text, or its beginning and its end where it has more tokens."""
    while (tokens := estimate_text(text)) > max(0, most):
        text = shortened(text, int(len(text) * max(0, most) / tokens * 0.9))
    return text


def _bounded(summary: Summary, most: int) -> Summary:
    """The same with the latest files and exchanges alone where all would be too long."""
    changed, read = _latest_within(summary.changed, most // 2), _latest_within(summary.read, most // 2)
    return Summary(summary.text, read, changed, _latest_exchanges(summary.exchanges, most))


def _latest_within(paths: Sequence[str], most: int) -> tuple[str, ...]:
    tokens = accumulate(estimate_text(f"- {path}\n") for path in reversed(paths))
    return tuple(paths[len(paths) - sum(one <= most for one in tokens) :])


def _latest_exchanges(exchanges: Sequence[Exchange], most: int) -> tuple[Exchange, ...]:
    """Those that fit; of the older ones the answers that stand nowhere else, which are users' words, to short questions."""
    found, tokens = [], 0
    for one in reversed(exchanges):
        tokens += estimate_text(f"- Asked: {one.question}\n  The user: {one.answer}\n")
        if tokens <= most:
            found.append(one)
        elif not one.kept:
            found.append(msgspec.structs.replace(one, question=shortened(one.question, _OLD_QUESTION)))
    return tuple(reversed(found))
