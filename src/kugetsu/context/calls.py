"""The calls of a conversation with their results, and which of them a later one makes worthless."""

import posixpath
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from kugetsu.context.stubs import is_stub
from kugetsu.messages import AssistantMessage, Message, ToolCall, ToolResult

_MOST_LINES: Final = 2_000
"""Lines that one read shows at most."""

_CONTINUES: Final = re.compile(r"Use offset=([0-9]{1,9}) to continue\.\]\s*\Z")
"""How a result of read ends that does not show all that was asked for."""

CHANGES: Final = frozenset({"write", "edit"})
"""Tools that change the file at `path`."""


class Done(msgspec.Struct, frozen=True):
    """A call that has its result.

    Attributes:
        at: place of its reply.
        answered: place of its result.
        back: how many replies came after its own.
        turn: its number.
        path: of the file that it reads or changes; empty when it is about none.
    """

    call: ToolCall
    result: ToolResult
    at: int
    answered: int
    back: int
    turn: int
    path: str = ""
    lines: range = range(0)


def done_calls(messages: Sequence[Message], turns: Sequence[int]) -> list[Done]:
    """The calls of a conversation that have a result, in order. One without the other is left out.

    Args:
        messages: the conversation.
        turns: numbers of the replies in it; those that are left out are counted on from 1.
    """
    answers = {message.call_id: place for place, message in enumerate(messages) if isinstance(message, ToolResult)}
    replies = [place for place, message in enumerate(messages) if isinstance(message, AssistantMessage)]
    found = []
    for number, place in enumerate(replies):
        turn = turns[number] if number < len(turns) else number + 1
        for call in _calls(messages[place]):
            answered = answers.get(call.id, -1)
            if answered > place and isinstance(result := messages[answered], ToolResult):
                path, lines = _about(call, result)
                found.append(Done(call, result, place, answered, len(replies) - 1 - number, turn, path, lines))
    return found


class _Later:
    """What comes later about one file.

    Attributes:
        change: the last change of it.
        starts: the first lines of `reads`.
        reads: those after the last change, none of which shows all that another does; so their last lines rise too.
    """

    def __init__(self) -> None:
        self.change: Done | None = None
        self.starts: list[int] = []
        self.reads: list[Done] = []

    def overtaken(self, lines: range) -> str:
        """Why a read of these lines is worthless; empty when it is not."""
        place = bisect_right(self.starts, lines.start) - 1
        if place >= 0 and lines.stop <= self.reads[place].lines.stop:
            return f"the file was read again in turn {self.reads[place].turn}"
        return f"the file was changed in turn {self.change.turn}" if self.change else ""

    def add(self, read: Done) -> None:
        """Add a read, in place of those of which it shows all."""
        first = last = bisect_left(self.starts, read.lines.start)
        while last < len(self.reads) and self.reads[last].lines.stop <= read.lines.stop:
            last += 1
        self.reads[first:last], self.starts[first:last] = [read], [read.lines.start]


def superseded_reads(calls: Sequence[Done]) -> Iterator[tuple[Done, str]]:
    """Reads whose file was read again, at least as much of it, or changed later; with words for why."""
    files: dict[str, _Later] = {}
    for done in reversed(calls):
        if not done.path or done.result.is_error:
            continue
        later = files.setdefault(done.path, _Later())
        if done.call.name in CHANGES:
            later.change = later.change or done
        elif done.lines:
            if reason := later.overtaken(done.lines):
                yield done, reason
            else:
                later.add(done)


def superseded_changes(calls: Sequence[Done]) -> Iterator[tuple[Done, str]]:
    """Changes of files that were written anew later; with words for why."""
    written: dict[str, int] = {}
    for done in reversed(calls):
        if not done.path or done.call.name not in CHANGES or done.result.is_error:
            continue
        if done.path in written:
            yield done, f"the file was written again in turn {written[done.path]}"
        elif done.call.name == "write":
            written[done.path] = done.turn


def arguments_of(call: ToolCall) -> Mapping[str, Any] | None:
    """The arguments of a call; None when they are no JSON object."""
    try:
        arguments = msgspec.json.decode(call.arguments)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return arguments if isinstance(arguments, dict) else None


def _calls(message: Message) -> tuple[ToolCall, ...]:
    return message.calls if isinstance(message, AssistantMessage) else ()


def _about(call: ToolCall, result: ToolResult) -> tuple[str, range]:
    """The file that a call is about, and for a read which lines it was shown at most."""
    if call.name != "read" and call.name not in CHANGES:
        return "", range(0)
    arguments = arguments_of(call)
    if arguments is None or not isinstance(path := arguments.get("path"), str) or not path or is_stub(path):
        return "", range(0)
    if is_stub(result.text):
        return posixpath.normpath(path), range(0)  # nobody sees it any more
    first, most = (_number(arguments.get(name)) for name in ("offset", "limit"))
    first, most = max(1, first), min(most or _MOST_LINES, _MOST_LINES)
    end = first + most
    if cut := _CONTINUES.search(result.text[-200:]):
        end = min(end, int(cut[1]))
    return posixpath.normpath(path), range(first, max(first + 1, end))


def _number(value: object) -> int:
    """A number as tools take it, also written as text."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 10:  # noqa: PLR2004 - no file has so many lines
        return int(value)
    return value if isinstance(value, int) else 0
