"""What a log of entries amounts to: a conversation, a turn that may be open, and what was used."""

from collections.abc import Iterable
from typing import assert_never

import msgspec

from kugetsu.context import Summary
from kugetsu.errors import RecordError
from kugetsu.messages import AssistantMessage, Message, ToolCall, ToolResult, UserMessage
from kugetsu.sessions.circling import Circling
from kugetsu.sessions.conversation import Conversation
from kugetsu.sessions.entries import (
    Checkpoint,
    Compacted,
    Entry,
    Finished,
    Forked,
    Heard,
    LogLine,
    Pruned,
    Renewed,
    Replied,
    Rewound,
    Started,
    Wasted,
)
from kugetsu.sessions.tally import Tally


class OpenTurn(msgspec.Struct):
    """A reply whose calls do not all have their results yet.

    Attributes:
        started: ids of the calls that began to run.
        results: by id of the call.
    """

    turn: int
    reply: AssistantMessage
    started: set[str] = msgspec.field(default_factory=set)
    results: dict[str, ToolResult] = msgspec.field(default_factory=dict)

    @property
    def unanswered(self) -> tuple[ToolCall, ...]:
        """The calls without a result, in source order."""
        return tuple(call for call in self.reply.calls if call.id not in self.results)


class Session:
    """A conversation as its log tells it. Each entry takes time for itself alone, however long the log is.

    Attributes:
        messages: the conversation as the model sees it: all closed turns and what was heard, with stubs in place of what was
            pruned, and a summary in place of turns that were taken out; every call in it has its result.
        open: the turn that is not closed yet.
        turn: number of the last turn; the next one is one more.
        tally: all that was used, also by what was rewound.
        allowance: what had been used when somebody last asked for another try.
        snapshot: commit of the worktree at the last checkpoint; empty for the base.
        rewound: whether the worktree has to be put back to `snapshot` before anything else.
        call_ids: every id a call ever had.
        circling: whether the agent goes round in circles.
        ratio: as in the last pruning or compaction; 1 before there was any.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._conversation = Conversation()
        self.messages: list[Message] = self._conversation.messages
        self.open: OpenTurn | None = None
        self.turn = 0
        self.tally = Tally()
        self.allowance = Tally()
        self.snapshot = ""
        self.rewound = False
        self.call_ids: set[str] = set()
        self.circling = Circling()
        self.ratio = 1.0
        self._heard: list[Message] = []
        for entry in entries:
            self.apply(entry)

    @property
    def awaits_reply(self) -> bool:
        """Whether it is the model's turn to speak."""
        return self.open is None and bool(self.messages) and not isinstance(self.messages[-1], AssistantMessage)

    @property
    def replies(self) -> int:
        """How many replies the conversation holds, also those that were taken out."""
        return max(0, len(self._conversation.turns) - 1)

    @property
    def used(self) -> Tally:
        """What counts against the limits."""
        return self.tally.since(self.allowance)

    @property
    def summary(self) -> Summary | None:
        """What stands for turns that were taken out; None when none were."""
        return self._conversation.summary

    @property
    def through(self) -> int:
        """The last turn that was taken out; 0 when none was."""
        return self._conversation.through

    @property
    def same_from(self) -> int:
        """How many messages there were at the last pruning or compaction: what providers counted before is no longer sent."""
        return self._conversation.same_from

    def settle(self) -> None:
        """The log is told: from here on the session only goes forward, and lets go of what was taken out. May be called twice."""
        self._conversation.settle()

    def turns(self) -> list[int]:
        """The turns that can be rewound to, oldest first; 0 stands for the time before the first reply."""
        return self._conversation.turns

    def seen_turns(self) -> list[int]:
        """The numbers of the replies among `messages`."""
        return self._conversation.seen_turns

    def apply(self, entry: Entry) -> None:  # noqa: C901 - one case for each kind of entry
        """Take one more entry.

        Raises:
            ValueError: it does not fit: the log is damaged.
        """
        match entry:
            case Heard():
                self._hear(entry.message)
            case Replied():
                self._open(entry)
            case Started():
                self._start(entry)
            case Finished():
                self._finish(entry)
            case Checkpoint():
                self._close(entry)
            case Rewound():
                self._rewind(entry)
            case Renewed():
                self.allowance = msgspec.structs.replace(self.tally)
                self.circling = Circling()
            case Wasted():
                self.tally.waste(entry.usage)
            case Forked():
                self.tally, self.allowance = Tally(), Tally()
                self.circling = Circling()
            case Pruned():
                self._require_closed(entry.turn)
                self._conversation.prune(entry.turn, entry.stubs)
                self.ratio = entry.ratio
            case Compacted():
                self._require_closed(entry.turn)
                self._conversation.compact(entry.turn, entry.through, entry.summary)
                self.ratio = entry.ratio
                self.tally.waste(entry.usage)
            case _:
                assert_never(entry)

    def _hear(self, message: UserMessage) -> None:
        """What is heard while a turn is open follows it: nothing may stand between a call and its result."""
        (self._heard if self.open else self.messages).append(message)

    def _open(self, entry: Replied) -> None:
        if self.open is not None or entry.turn <= self.turn:
            raise ValueError(f"a reply as turn {entry.turn} after turn {self.turn}")
        self._conversation.begin()
        self.turn = entry.turn
        self.rewound = False
        self.open = OpenTurn(entry.turn, entry.message)
        self.tally.count(entry.message)
        self.call_ids.update(call.id for call in entry.message.calls)

    def _opened(self, turn: int) -> OpenTurn:
        if self.open is None or self.open.turn != turn:
            raise ValueError(f"turn {turn} is not open")
        return self.open

    def _start(self, entry: Started) -> None:
        turn = self._opened(entry.turn)
        for call in entry.calls:
            _check(turn, call)
        turn.started.update(entry.calls)

    def _finish(self, entry: Finished) -> None:
        turn, call = self._opened(entry.turn), entry.result.call_id
        _check(turn, call)
        turn.results[call] = entry.result
        self.tally.tool_calls += 1

    def _close(self, entry: Checkpoint) -> None:
        turn = self._opened(entry.turn)
        if turn.unanswered:
            raise ValueError(f"turn {entry.turn} is closed without a result of {turn.unanswered[0].id}")
        results = [turn.results[call.id] for call in turn.reply.calls]
        self.circling.close(zip(turn.reply.calls, results, strict=True), changed=entry.snapshot != self.snapshot)
        self._conversation.close(entry.turn, [turn.reply, *results], self._heard)
        self.open = None
        self.snapshot = entry.snapshot
        self._heard.clear()

    def _require_closed(self, turn: int) -> None:
        """Raise ValueError unless this is the last turn, and closed."""
        if self.open is not None or turn != self.turn:
            raise ValueError(f"a change of the conversation after turn {turn} in turn {self.turn}")

    def _rewind(self, entry: Rewound) -> None:
        self._conversation.rewind(entry.turn)
        self.open = None
        self._heard.clear()
        self.snapshot = entry.snapshot
        self.circling = Circling()
        self.rewound = True


def _check(turn: OpenTurn, call: str) -> None:
    """Raise ValueError unless the turn has this call, without a result yet."""
    if all(call != there.id for there in turn.unanswered):
        raise ValueError(f"turn {turn.turn} has no call {call} without a result")


def read_session(lines: Iterable[LogLine]) -> Session:
    """What a stored log amounts to.

    Raises:
        RecordError: its entries cannot follow each other.
    """
    try:
        return Session(line.entry for line in lines)
    except ValueError as error:
        raise RecordError(
            f"the session is damaged: {error}", fix="`kugetsu logs ID --full` shows it as it is"
        ) from error
