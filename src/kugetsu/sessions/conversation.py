"""What the model sees of a session: messages, where turns end in them, and what was changed on the way."""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from kugetsu.context import Stub, Summary, placed, summary_message
from kugetsu.messages import SPOKEN, Message, UserMessage


class _Pruning(msgspec.Struct, frozen=True):
    """A pruning, to be undone.

    Attributes:
        turn: the last one before.
        at: how many messages there were.
        removed: what it replaced, by place.
    """

    turn: int
    at: int
    removed: dict[int, Message]


class _Compaction(msgspec.Struct, frozen=True):
    """A compaction, to be undone.

    Attributes:
        turn: the last one before.
        at: how many messages there were after it.
        head: how many messages it left of those that it took out.
        removed: what it took out.
        ends: where turns ended before.
        summary: the one before.
    """

    turn: int
    at: int
    head: int
    removed: tuple[Message, ...]
    ends: dict[int, int]
    summary: Summary | None


_Change: TypeAlias = _Pruning | _Compaction


class Conversation:
    """Messages, turn by turn. Every place in it is one of now: a compaction moves what comes after it.

    Attributes:
        messages: the list stays the same object.
        summary: what stands for turns that were taken out; None when none were.
    """

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.summary: Summary | None = None
        self._ends: dict[int, int] = {}
        self._gone: list[int] = []
        self._changes: list[_Change] = []
        self._settled = False

    @property
    def turns(self) -> list[int]:
        """The turns that count, oldest first, also those that were taken out; 0 stands for what came before the first."""
        return [*self._gone, *self._ends]

    @property
    def seen_turns(self) -> list[int]:
        """The turns whose messages are still there."""
        return list(self._ends)[1:]

    @property
    def through(self) -> int:
        """The last turn that was taken out; 0 when none was."""
        return next(iter(self._ends), 0)

    @property
    def same_from(self) -> int:
        """How many messages there were at the last change: what providers counted before is no longer sent."""
        return self._changes[-1].at if self._changes else 0

    def settle(self) -> None:
        """Go only forward from here on, and let go of what was changed. May be called twice."""
        self._settled = True
        self._changes = [_forgetful(change) for change in self._changes[-1:]]

    def begin(self) -> None:
        """The first reply came: what was said before it can be gone back to."""
        if not self._ends:
            self._ends[0] = len(self.messages)

    def close(self, turn: int, messages: Sequence[Message], heard: Sequence[Message]) -> None:
        """A turn is whole.

        Args:
            turn: its number.
            messages: its reply and results.
            heard: what was said meanwhile.
        """
        self.messages.extend(messages)
        self._ends[turn] = len(self.messages)
        self.messages.extend(heard)

    def prune(self, turn: int, stubs: Sequence[Stub]) -> None:
        """Put stubs in the place of texts.

        Raises:
            ValueError: there is no such call.
        """
        removed = {}
        for place, message in placed(self.messages, stubs).items():
            removed[place], self.messages[place] = self.messages[place], message
        self._changed(_Pruning(turn, len(self.messages), removed))

    def compact(self, turn: int, through: int, summary: Summary) -> None:
        """Take turns out, but for what users said in them, and put a summary in their place.

        Args:
            turn: the last one.
            through: the last one that goes.
            summary: what stands for them.

        Raises:
            ValueError: there is no such turn that could be taken out; the last one never can.
        """
        if through not in self._ends or through <= self.through:
            raise ValueError(f"there is no turn {through} to take out")
        if through == next(reversed(self._ends)):
            raise ValueError(f"turn {through} is the last one and stays")
        end, ends, before = self._ends[through], self._ends, self.summary
        removed = tuple(self.messages[:end])
        said = [message for message in removed if isinstance(message, UserMessage) and message.origin in SPOKEN]
        self.messages[:end] = [*said, summary_message(summary, through)]
        head = len(said) + 1
        self._gone += [gone for gone in ends if gone < through]
        self._ends = {there: place - end + head for there, place in ends.items() if there >= through}
        self.summary = summary
        self._changed(_Compaction(turn, len(self.messages), head, removed, ends, before))

    def rewind(self, turn: int) -> None:
        """Go back to the end of a turn, with all that it saw.

        Raises:
            ValueError: there is no such turn, or the conversation only goes forward.
        """
        if self._settled:
            raise ValueError(f"it goes back to turn {turn} while it is worked on")
        if turn not in self._ends and turn not in self._gone:
            raise ValueError(f"there is no turn {turn} to rewind to")
        while self._changes and self._changes[-1].turn >= turn:
            self._undo(self._changes.pop())
        del self.messages[self._ends[turn] :]
        self._ends = {there: end for there, end in self._ends.items() if there <= turn}

    def _changed(self, change: _Change) -> None:
        if self._settled:
            self._changes = [_forgetful(change)]
        else:
            self._changes.append(change)

    def _undo(self, change: _Change) -> None:
        """Put back what a change took away. What came after it has wrong ends then, and goes next."""
        match change:
            case _Pruning():
                for place, message in change.removed.items():
                    self.messages[place] = message
            case _Compaction():
                self.messages[: change.head] = change.removed
                self._ends, self.summary = change.ends, change.summary
                self._gone = [gone for gone in self._gone if gone not in change.ends]


def _forgetful(change: _Change) -> _Change:
    """The same, with nothing to put back."""
    match change:
        case _Pruning():
            return msgspec.structs.replace(change, removed={})
        case _Compaction():
            return msgspec.structs.replace(change, removed=(), ends={}, summary=None)
