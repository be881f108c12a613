"""The whole conversation of a task, as it was said."""

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, TextIO, assert_never

from kugetsu.cli.views import amounts
from kugetsu.cli.views.printing import width_of, write_lines
from kugetsu.cli.views.text import block, one_line
from kugetsu.messages import AssistantMessage, Image, InputContent, Message, Text, Thinking, ToolCall, UserMessage

if TYPE_CHECKING:
    from rich.text import Text as Line

_WIDTH: Final = 80
"""Length of the rules on a stream that has no width."""

_INDENT: Final = "  "
_BASE64: Final = 4 / 3
_ORIGINS: Final = {"prompt": "user", "steering": "user, while the agent worked", "follow_up": "user, follow-up"}


def conversation(messages: Iterable[Message], width: int | None) -> Iterator[list["Line"]]:
    """The lines of each message: a rule that says who speaks, then every word."""
    turn = 0
    for message in messages:
        if isinstance(message, AssistantMessage):
            turn += 1
        title, style = _title(message, turn)
        yield [_rule(title, style, width or _WIDTH), *_body(message), _line("")]


def print_conversation(messages: Iterable[Message], stream: TextIO, *, width: int | None = None) -> None:
    """Write a conversation, message by message.

    Raises:
        OSError: the stream refused it.
        RecordError: what comes from `messages` itself; what was read before is written.
    """
    for lines in conversation(messages, width or width_of(stream)):
        write_lines(stream, lines)


def _title(message: Message, turn: int) -> tuple[str, str]:
    match message:
        case UserMessage():
            return _ORIGINS[message.origin], "bold green"
        case AssistantMessage():
            cut = {"length": ", cut at the output limit", "aborted": ", cut short"}.get(message.stop, "")
            used = f"{amounts.tokens(message.usage.input)} in, {amounts.tokens(message.usage.output)} out"
            return f"turn {turn}: {one_line(message.model)} ({used}{cut})", "bold cyan"
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
