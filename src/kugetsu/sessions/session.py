"""What a log of entries amounts to: a conversation, a turn that may be open, and what was used."""

from collections.abc import Iterable
from typing import assert_never

import msgspec

from kugetsu.context import placed
from kugetsu.messages import AssistantMessage, Message, ToolCall, ToolResult, UserMessage
from kugetsu.sessions.circling import Circling
from kugetsu.sessions.entries import (
    Checkpoint,
    Entry,
    Finished,
    Forked,
    Heard,
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


class _Removed(msgspec.Struct, frozen=True):
    """What a pruning took away.

    Attributes:
        turn: as in its entry.
        at: how many messages there were.
        messages: by their place; empty once nobody can go back.
    """

    turn: int
    at: int
    messages: dict[int, Message]


class Session:
    """A conversation as its log tells it. Each entry takes time for itself alone, however long the log is.

    Attributes:
        messages: the conversation as the model sees it: all closed turns and what was heard, with stubs in place of what was
            pruned; every call in it has its result.
        open: the turn that is not closed yet.
        turn: number of the last turn; the next one is one more.
        tally: all that was used, also by what was rewound.
        allowance: what had been used when somebody last asked for another try.
        snapshot: commit of the worktree at the last checkpoint; empty for the base.
        rewound: whether the worktree has to be put back to `snapshot` before anything else.
        call_ids: every id a call ever had.
        circling: whether the agent goes round in circles.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.messages: list[Message] = []
        self.open: OpenTurn | None = None
        self.turn = 0
        self.tally = Tally()
        self.allowance = Tally()
        self.snapshot = ""
        self.rewound = False
        self.call_ids: set[str] = set()
        self.circling = Circling()
        self._ends: dict[int, int] = {}
        self._heard: list[Message] = []
        self._prunings: list[_Removed] = []
        self._settled = False
        for entry in entries:
            self.apply(entry)

    @property
    def awaits_reply(self) -> bool:
        """Whether it is the model's turn to speak."""
        return self.open is None and bool(self.messages) and not isinstance(self.messages[-1], AssistantMessage)

    @property
    def replies(self) -> int:
        """How many replies the conversation holds."""
        return max(0, len(self._ends) - 1)

    @property
    def used(self) -> Tally:
        """What counts against the limits."""
        return self.tally.since(self.allowance)

    @property
    def same_from(self) -> int:
        """How many messages there were at the last pruning: what providers counted before is no longer sent."""
        return self._prunings[-1].at if self._prunings else 0

    def settle(self) -> None:
        """The log is told: from here on the session only goes forward, and lets go of what was pruned. May be called twice."""
        self._settled = True
        self._prunings = [msgspec.structs.replace(pruning, messages={}) for pruning in self._prunings[-1:]]

    def turns(self) -> list[int]:
        """The turns that can be rewound to, oldest first; 0 stands for the time before the first reply."""
        return list(self._ends)

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
                self._prune(entry)
            case _:
                assert_never(entry)

    def _hear(self, message: UserMessage) -> None:
        """What is heard while a turn is open follows it: nothing may stand between a call and its result."""
        (self._heard if self.open else self.messages).append(message)

    def _open(self, entry: Replied) -> None:
        if self.open is not None or entry.turn <= self.turn:
            raise ValueError(f"a reply as turn {entry.turn} after turn {self.turn}")
        self._ends.setdefault(0, len(self.messages))
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
        self.messages.append(turn.reply)
        self.messages.extend(turn.results[call.id] for call in turn.reply.calls)
        pairs = ((call, turn.results[call.id]) for call in turn.reply.calls)
        self.circling.close(pairs, changed=entry.snapshot != self.snapshot)
        self.open = None
        self.snapshot = entry.snapshot
        self._ends[entry.turn] = len(self.messages)
        self.messages.extend(self._heard)
        self._heard.clear()

    def _prune(self, entry: Pruned) -> None:
        if self.open is not None or entry.turn != self.turn:
            raise ValueError(f"a pruning after turn {entry.turn} in turn {self.turn}")
        removed = {}
        for place, message in placed(self.messages, entry.stubs).items():
            removed[place], self.messages[place] = self.messages[place], message
        if self._settled:
            self._prunings.clear()
            removed = {}
        self._prunings.append(_Removed(entry.turn, len(self.messages), removed))

    def _unprune(self, turn: int) -> None:
        """Put back what was pruned after a turn."""
        while self._prunings and self._prunings[-1].turn >= turn:
            for place, message in self._prunings.pop().messages.items():
                self.messages[place] = message

    def _rewind(self, entry: Rewound) -> None:
        if self._settled:
            raise ValueError(f"it goes back to turn {entry.turn} while it is worked on")
        if entry.turn not in self._ends:
            raise ValueError(f"there is no turn {entry.turn} to rewind to")
        self._unprune(entry.turn)
        del self.messages[self._ends[entry.turn] :]
        self._ends = {turn: end for turn, end in self._ends.items() if turn <= entry.turn}
        self.open = None
        self._heard.clear()
        self.snapshot = entry.snapshot
        self.circling = Circling()
        self.rewound = True


def _check(turn: OpenTurn, call: str) -> None:
    """Raise ValueError unless the turn has this call, without a result yet."""
    if all(call != there.id for there in turn.unanswered):
        raise ValueError(f"turn {turn.turn} has no call {call} without a result")
