"""Requests of OpenAI's chat completions (https://platform.openai.com/docs/api-reference/chat/create)."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from kugetsu.messages import Image, InputContent, ReplyContent, Text, Thinking, ToolCall, ToolResult
from kugetsu.models.encoding import JsonObject, arguments_object, tool_name
from kugetsu.models.turns import AssistantTurn, Turn, UserTurn
from kugetsu.protocols import ToolSpec

_PICTURES: Final = "(the pictures follow in the next message)"
_FROM_TOOLS: Final = Text("Pictures from the tool results above:")


def tool_list(tools: tuple[ToolSpec, ...]) -> list[JsonObject]:
    """Tools as functions."""
    return [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.schema},
        }
        for tool in tools
    ]


def message_list(system: str, conversation: Sequence[Turn], reasoning_field: str) -> list[JsonObject]:
    """A conversation as messages.

    Args:
        system: the system prompt; left out when blank.
        conversation: in turns.
        reasoning_field: name under which reasoning is carried back; empty: it is not.
    """
    messages: list[JsonObject] = [{"role": "system", "content": system}] if system.strip() else []
    for turn in conversation:
        match turn:
            case AssistantTurn():
                messages.append(_assistant(turn.content, reasoning_field))
            case UserTurn():
                messages.extend(_results(turn.results))
                pictures = _pictures(turn.results)
                if pictures or turn.content:
                    messages.append({"role": "user", "content": _content([*pictures, *turn.content])})
    return messages


def _assistant(content: Iterable[ReplyContent], reasoning_field: str) -> JsonObject:
    texts, reasoning = list[str](), list[str]()
    calls: list[JsonObject] = []
    signature = ""
    for block in content:
        match block:
            case Text():
                texts.append(block.text)
            case Thinking():
                reasoning.append(block.text)
                signature = block.signature
            case ToolCall():
                calls.append(_call(block, signature))
                signature = ""
    message: JsonObject = {"role": "assistant", "content": "\n\n".join(texts) or None}
    # DeepSeek refuses a conversation whose calls come without the field, even where it was empty.
    if reasoning_field and (calls or any(reasoning)):
        message[reasoning_field] = "".join(reasoning)
    if calls:
        message["tool_calls"] = calls
    return message


def _call(call: ToolCall, signature: str) -> JsonObject:
    function = {"name": tool_name(call.name), "arguments": arguments_object(call.arguments)}
    wire: JsonObject = {"id": call.id, "type": "function", "function": function}
    if signature:
        # Gemini refuses a conversation without the signatures of its calls.
        wire["extra_content"] = {"google": {"thought_signature": signature}}
    return wire


def _results(results: Iterable[ToolResult]) -> Iterator[JsonObject]:
    """Results as `tool` messages, which hold text only; pictures follow in a message of the user."""
    for result in results:
        text = result.text
        if any(isinstance(block, Image) for block in result.content):
            text = f"{text}\n{_PICTURES}" if text else _PICTURES
        # The name is Gemini's wish; all others ignore it.
        yield {"role": "tool", "tool_call_id": result.call_id, "name": tool_name(result.name), "content": text}


def _pictures(results: Iterable[ToolResult]) -> list[InputContent]:
    pictures = [block for result in results for block in result.content if isinstance(block, Image)]
    return [_FROM_TOOLS, *pictures] if pictures else []


def _content(content: Sequence[InputContent]) -> str | list[JsonObject]:
    """Texts as one string, which every server takes; with pictures a list of parts."""
    if not any(isinstance(block, Image) for block in content):
        return "\n\n".join(block.text for block in content if isinstance(block, Text))
    return [_part(block) for block in content]


def _part(block: InputContent) -> JsonObject:
    if isinstance(block, Text):
        return {"type": "text", "text": block.text}
    return {"type": "image_url", "image_url": {"url": f"data:{block.media_type};base64,{block.data}"}}
