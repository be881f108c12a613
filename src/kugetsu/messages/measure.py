"""How many tokens messages can have at most, for whoever must not spend too much. No tokenizer is asked."""

from collections.abc import Iterable, Sequence
from typing import Final, assert_never

from kugetsu.messages.content import AssistantMessage, Image, Message, Text, Thinking, ToolCall

_FRAME: Final = 16
"""For the role, names and marks around a message or a call."""

_IMAGE: Final = 6_000
"""More than any provider counts for one picture of the size that the tools hand over."""


def most_tokens_of_text(text: str) -> int:
    """The most tokens a text can have: byte-level tokenizers make one of a byte at worst; prose has a quarter of that."""
    return len(text.encode("utf-8", "replace"))


def most_tokens(messages: Iterable[Message]) -> int:
    """The most tokens that messages can have as part of a prompt."""
    return sum(_FRAME + sum(map(_block, message.content)) for message in messages)


def _block(block: Text | Image | Thinking | ToolCall) -> int:
    match block:
        case Text() | Thinking():
            return most_tokens_of_text(block.text)
        case Image():
            return _IMAGE
        case ToolCall():
            return _FRAME + most_tokens_of_text(block.name) + most_tokens_of_text(block.arguments)
        case _:
            assert_never(block)


def most_tokens_of_prompt(frame: int, messages: Sequence[Message], same_from: int = 0) -> int:
    """The most tokens a prompt can have.

    The part that the last reply was an answer to is known from what its provider counted; the rest is bounded.

    Args:
        frame: the most tokens of the system prompt and all that is said of tools.
        messages: the conversation.
        same_from: replies from this place on were given to the same frame and messages; earlier counts prove nothing.
    """
    for place in range(len(messages) - 1, same_from - 1, -1):
        message = messages[place]
        if isinstance(message, AssistantMessage) and message.usage.input:
            return message.usage.tokens + _FRAME + most_tokens(messages[place + 1 :])
    return frame + most_tokens(messages)
