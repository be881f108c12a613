"""A conversation as alternating turns of user and assistant, in a form that every provider accepts.

Providers refuse empty texts, results that do not directly follow their calls, replies that end in reasoning,
conversations that do not begin and end with the user, and pictures in formats they do not know. So what is empty is
left out, results go right behind their calls, neighbours of one side become one turn, and what cannot be shown is said.
"""

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

import msgspec

from kugetsu.messages import (
    AssistantMessage,
    Image,
    InputContent,
    Message,
    ReplyContent,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    UserMessage,
)

NO_OUTPUT: Final = Text("(no output)")
"""Stands for a result without content."""

GO_ON: Final = Text("Continue.")
"""Said by the user where a conversation begins or ends without the user."""

_IMAGE_TYPES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""What OpenAI and Anthropic both take."""


class UserTurn(msgspec.Struct):
    """Everything between two replies: first the results of calls, then what the user says."""

    results: list[ToolResult] = []
    content: list[InputContent] = []


class AssistantTurn(msgspec.Struct):
    """One reply, or several with nothing between them. Never empty, and never ends in reasoning."""

    content: list[ReplyContent] = []


Turn: TypeAlias = UserTurn | AssistantTurn


def turns(messages: Sequence[Message], *, model: str, images: bool) -> list[Turn]:
    """Bring a conversation into turns; the first and the last are the user's.

    A call without a result, or a result without a call, which only a damaged conversation holds, is left out.

    Args:
        messages: the conversation.
        model: `provider/model` that will read it; reasoning that another model signed is left out.
        images: whether it takes pictures.
    """
    results = {message.call_id: message for message in messages if isinstance(message, ToolResult)}
    done: list[Turn] = []
    for message in messages:
        match message:
            case UserMessage():
                if content := _shown(message.content, images=images):
                    _user_turn(done).content.extend(content)
            case AssistantMessage():
                _add_reply(done, message, results, own=message.model in {"", model}, images=images)
            case ToolResult():
                pass  # stands behind its call already
    if not done or isinstance(done[0], AssistantTurn):
        done.insert(0, UserTurn(content=[GO_ON]))
    if isinstance(done[-1], AssistantTurn):
        done.append(UserTurn(content=[GO_ON]))
    return done


def _add_reply(
    done: list[Turn], message: AssistantMessage, results: dict[str, ToolResult], *, own: bool, images: bool
) -> None:
    content = [block for block in message.content if _kept(block, results, own=own)]
    while content and isinstance(content[-1], Thinking):
        content.pop()
    if not content:
        return
    if not done or isinstance(done[-1], UserTurn):
        done.append(AssistantTurn())
    turn = done[-1]
    if isinstance(turn, AssistantTurn):
        turn.content.extend(content)
    answers = [_answer(results[block.id], images=images) for block in content if isinstance(block, ToolCall)]
    if answers:
        _user_turn(done).results.extend(answers)


def _kept(block: ReplyContent, results: dict[str, ToolResult], *, own: bool) -> bool:
    match block:
        case Text():
            return not _blank(block.text)
        case Thinking():
            return own
        case ToolCall():
            return block.id in results


def _user_turn(done: list[Turn]) -> UserTurn:
    """The user's turn at the end, a new one where there is none."""
    if done and isinstance(turn := done[-1], UserTurn):
        return turn
    turn = UserTurn()
    done.append(turn)
    return turn


def _answer(result: ToolResult, *, images: bool) -> ToolResult:
    content = _shown(result.content, images=images) or (NO_OUTPUT,)
    return result if content == result.content else msgspec.structs.replace(result, content=content)


def _shown(content: Iterable[InputContent], *, images: bool) -> tuple[InputContent, ...]:
    """Content without blank texts, and with a note for each picture that cannot be shown."""
    return tuple(
        _pictured(block, images=images) if isinstance(block, Image) else block
        for block in content
        if isinstance(block, Image) or not _blank(block.text)
    )


def _pictured(image: Image, *, images: bool) -> InputContent:
    if not images:
        return Text(f"(a picture, {image.media_type}, is left out: this model takes none)")
    if image.media_type not in _IMAGE_TYPES or not image.data:
        return Text(f"(a picture is left out: {image.media_type} is not supported)")
    return image


def _blank(text: str) -> bool:
    return not text or text.isspace()
