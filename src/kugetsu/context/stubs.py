"""What stands in a conversation where something was pruned."""

import re
from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from kugetsu.messages import AssistantMessage, Message, ReplyContent, Text, ToolCall, ToolResult

MARK: Final = "[pruned: "
"""How every stub begins."""

SPOKEN_RESULTS: Final = frozenset({"ask"})
"""Tools whose results are words of users."""

_NOTE: Final = re.compile(r'"\[pruned: [0-9,]{1,20} characters; [^"\\]{1,200}\]"')


class ResultStub(msgspec.Struct, frozen=True, gc=False, tag="result"):
    """Takes the place of what a call gave.

    Attributes:
        call: id of the call.
        text: what was there, and how to see it again.
    """

    call: str
    text: str


class ArgumentsStub(msgspec.Struct, frozen=True, gc=False, tag="arguments"):
    """Takes the place of a call's arguments.

    Attributes:
        call: id of the call.
        arguments: JSON with the same names, long texts left out.
    """

    call: str
    arguments: str


Stub: TypeAlias = ResultStub | ArgumentsStub


def is_stub(text: str) -> bool:
    """Whether a text stands for one that was pruned."""
    return text.startswith(MARK)


def note_of(size: int, reason: str) -> str:
    """What stands for a long text in a call's arguments."""
    return f"{MARK}{size:,} characters; {reason}]"


def copies_note(arguments: str) -> bool:
    """Whether a call has such a note for one of its texts: models repeat what they see in their earlier calls."""
    return MARK in arguments and _NOTE.search(arguments) is not None


def placed(messages: Sequence[Message], stubs: Sequence[Stub]) -> dict[int, Message]:
    """The messages that stubs make other ones, by their place. Nothing else changes, nor does what belongs together.

    Raises:
        ValueError: there is no such call, or it has no result.
    """
    texts = {stub.call: stub.text for stub in stubs if isinstance(stub, ResultStub)}
    arguments = {stub.call: stub.arguments for stub in stubs if isinstance(stub, ArgumentsStub)}
    found: dict[int, Message] = {}
    for place, message in enumerate(messages):
        if isinstance(message, ToolResult) and message.call_id in texts:
            found[place] = msgspec.structs.replace(message, content=(Text(texts.pop(message.call_id)),))
        elif isinstance(message, AssistantMessage) and any(call.id in arguments for call in message.calls):
            content = tuple(_with(block, arguments) for block in message.content)
            found[place] = msgspec.structs.replace(message, content=content)
    if missing := [*texts, *arguments]:
        raise ValueError(f"there is no call {missing[0]} to prune")
    return found


def with_stubs(messages: Sequence[Message], stubs: Sequence[Stub]) -> list[Message]:
    """The conversation with stubs in it.

    Raises:
        ValueError: as for `placed`.
    """
    changed = placed(messages, stubs)
    return [changed.get(place, message) for place, message in enumerate(messages)]


def _with(block: ReplyContent, arguments: dict[str, str]) -> ReplyContent:
    if isinstance(block, ToolCall) and block.id in arguments:
        return msgspec.structs.replace(block, arguments=arguments.pop(block.id))
    return block
