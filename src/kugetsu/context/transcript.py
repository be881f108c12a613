"""A conversation as text, for a model that is to write notes on it: bounded, what is long in it shortened."""

from collections.abc import Iterator, Sequence
from typing import Final, assert_never

from kugetsu.context.estimate import estimate_text
from kugetsu.messages import AssistantMessage, Image, Message, Text, ToolCall, ToolResult, UserMessage

_LIMITS: Final = ((1_600, 8_000), (400, 2_000), (120, 600))
"""Characters of one output or of the arguments of a call, and of one message in words; the first that fit are taken."""

_HEAD: Final = 3
"""Of what is shortened so many parts of four are its beginning."""

_NOTE: Final = 48
"""Characters that are set aside for the word of what is missing."""

_SPEAKERS: Final = {
    "prompt": "user: the task",
    "steering": "user",
    "follow_up": "user",
    "notice": "notice",
    "summary": "notes so far",
}


def transcript(messages: Sequence[Message], most: int) -> str:
    """The conversation as text of about so many tokens at most, however long it is. Reasoning is left out."""
    text = ""
    for output, words in _LIMITS:
        text = "\n\n".join(_paragraphs(messages, output, words))
        if estimate_text(text) <= most:
            return text
    while (tokens := estimate_text(text)) > max(0, most):
        text = shortened(text, int(len(text) * most / tokens * 0.9))
    return text


def shortened(text: str, most: int) -> str:
    """The beginning and the end of a text that is too long, with a word of what is missing."""
    if len(text) <= most:
        return text
    room = most - _NOTE
    if room <= 0:
        return ""
    head = room * _HEAD // 4
    return f"{text[:head]}\n[... {len(text) - room:,} characters left out ...]\n{text[len(text) - (room - head) :]}"


def _paragraphs(messages: Sequence[Message], output: int, words: int) -> Iterator[str]:
    for message in messages:
        match message:
            case UserMessage():
                yield f"[{_SPEAKERS[message.origin]}]\n{shortened(_plain(message), words)}"
            case ToolResult():
                failed = " (failed)" if message.is_error else ""
                yield f"[result of {message.name}{failed}]\n{shortened(_plain(message), output)}"
            case AssistantMessage():
                if message.text.strip():
                    yield f"[agent]\n{shortened(message.text.strip(), words)}"
                for call in message.calls:
                    yield f"[agent calls {call.name}]\n{shortened(_arguments(call), output)}"
            case _:
                assert_never(message)


def _arguments(call: ToolCall) -> str:
    return call.arguments.strip() or "{}"


def _plain(message: UserMessage | ToolResult) -> str:
    return "\n".join(_block(block) for block in message.content)


def _block(block: Text | Image) -> str:
    return block.text if isinstance(block, Text) else f"[a picture, {block.media_type}]"
