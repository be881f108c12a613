"""The conversation of a task, as it was said."""

import itertools
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, TextIO, assert_never

from kugetsu.cli.views import amounts
from kugetsu.cli.views.printing import width_of, write_lines
from kugetsu.cli.views.text import block, one_line
from kugetsu.context import summary_message
from kugetsu.messages import (
    AssistantMessage,
    Image,
    InputContent,
    Message,
    Text,
    Thinking,
    ToolCall,
    Usage,
    UserMessage,
    UserOrigin,
)
from kugetsu.sessions import (
    Checkpoint,
    Compacted,
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

if TYPE_CHECKING:
    from rich.text import Text as Line

_WIDTH: Final = 80
"""Length of the rules on a stream that has no width."""

_INDENT: Final = "  "
_BASE64: Final = 4 / 3
_ORIGINS: Final[dict[UserOrigin, str]] = {
    "prompt": "user",
    "steering": "user, while the agent worked",
    "follow_up": "user, follow-up",
    "notice": "notice to the agent",
    "summary": "summary of what was taken out",
}


def print_conversation(
    messages: Iterable[Message], stream: TextIO, *, turns: Iterable[int] = (), width: int | None = None
) -> None:
    """Write a conversation, message by message.

    Args:
        messages: in order.
        stream: where to.
        turns: the numbers of the replies in it; those that are left out are counted on from 1.
        width: cells of a line; None for what the stream has.

    Raises:
        OSError: the stream refused it.
        RecordError: what comes from `messages` itself; what was read before is written.
    """
    numbers = itertools.chain(turns, itertools.count(1))
    for message in messages:
        number = next(numbers) if isinstance(message, AssistantMessage) else 0
        write_lines(stream, said(message, number, width or width_of(stream)))


def print_log(entries: Iterable[Entry], stream: TextIO, *, width: int | None = None) -> None:
    """Write everything that was ever said, also what counts no longer; a rule says since when.

    Raises:
        OSError: the stream refused it.
    """
    width = width or width_of(stream)
    for entry in entries:
        write_lines(stream, _entry(entry, width))


def said(message: Message, turn: int, width: int | None) -> list["Line"]:
    """The lines of a message: a rule that says who speaks, then every word."""
    title, style = _title(message, turn)
    return [_rule(title, style, width or _WIDTH), *_body(message), _line("")]


def _entry(entry: Entry, width: int | None) -> list["Line"]:  # noqa: C901 - one case for each kind of entry
    match entry:
        case Heard():
            return said(entry.message, 0, width)
        case Replied():
            return said(entry.message, entry.turn, width)
        case Finished():
            return said(entry.result, entry.turn, width)
        case Rewound():
            what = f"went back to turn {entry.turn}: what came after it counts no longer"
        case Renewed():
            what = "tried again: the limits count from here"
        case Forked():
            what = f"from here on a fork of {one_line(entry.origin)}"
        case Wasted():
            what = f"a call of the model came to nothing ({_used(entry.usage)})"
        case Pruned():
            what = f"{amounts.counted(len(entry.stubs), 'old text')} made room: see above what stood there"
        case Compacted():
            return _compaction(entry, width or _WIDTH)
        case Started() | Checkpoint():
            return []
        case _:
            assert_never(entry)
    return [_rule(what, "bold magenta", width or _WIDTH), _line("")]


def _compaction(entry: Compacted, width: int) -> list["Line"]:
    one = entry.through == 1
    gone = f"{amounts.turns_to(entry.through)} {'was' if one else 'were'} taken out: this stands for {'it' if one else 'them'} now"
    by = f"notes by {one_line(entry.model)} ({_used(entry.usage)})" if entry.model else "nobody wrote notes"
    return [
        _rule(gone, "bold magenta", width),
        _rule(by, "bold green", width),
        *_body(summary_message(entry.summary, entry.through)),
        _line(""),
    ]


def _used(usage: Usage) -> str:
    return f"{amounts.tokens(usage.input)} in, {amounts.tokens(usage.output)} out"


def _title(message: Message, turn: int) -> tuple[str, str]:
    match message:
        case UserMessage():
            return _ORIGINS[message.origin], "bold green"
        case AssistantMessage():
            cut = {"length": ", cut at the output limit", "aborted": ", cut short"}.get(message.stop, "")
            return f"turn {turn}: {one_line(message.model)} ({_used(message.usage)}{cut})", "bold cyan"
        case _:
            return f"result of {one_line(message.name)}{' (failed)' if message.is_error else ''}", (
                "bold red" if message.is_error else "bold"
            )


def _body(message: Message) -> list["Line"]:
    if isinstance(message, AssistantMessage):
        return [line for part in message.content for line in _reply_part(part)]
    return [line for part in message.content for line in _input_part(part)]


def _reply_part(part: Text | Thinking | ToolCall) -> list["Line"]:
    match part:
        case Text():
            return _lines(part.text)
        case Thinking():
            return _lines(part.text or "(reasoning that the provider does not show)", "dim italic")
        case ToolCall():
            return [_line(f"call {one_line(part.name)}", "bold yellow"), *_arguments(part.arguments)]
        case _:
            assert_never(part)


def _input_part(part: InputContent) -> list["Line"]:
    match part:
        case Text():
            return _lines(part.text)
        case Image():
            return [_line(f"[{one_line(part.media_type)}, {int(len(part.data) / _BASE64):,} bytes]", "dim")]
        case _:
            assert_never(part)


def _arguments(arguments: str) -> list["Line"]:
    """One line for each argument; text of several lines stands below its name."""
    try:
        values = json.loads(arguments)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        return _lines(arguments, indent=_INDENT)
    lines: list[Line] = []
    for name, value in values.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        label = f"{_INDENT}{one_line(name)}:"
        if "\n" in text:
            lines += [_line(label, "dim"), *_lines(text, indent=_INDENT * 2)]
        else:
            lines += [_line(f"{label} {block(text)}")]
    return lines


def _lines(text: str, style: str = "", indent: str = "") -> list["Line"]:
    return [_line(f"{indent}{line}", style) for line in block(text).rstrip("\n").split("\n")]


def _rule(title: str, style: str, width: int) -> "Line":
    from rich.cells import cell_len  # noqa: PLC0415 - needed only when something is printed

    head = f"── {title} "
    return _line(head + "─" * max(2, width - 1 - cell_len(head)), style)


def _line(text: str, style: str = "") -> "Line":
    from rich.text import Text as Line  # noqa: PLC0415 - needed only when something is printed

    return Line(text, style)
