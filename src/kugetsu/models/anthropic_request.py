"""Requests of Anthropic's messages API (https://docs.claude.com/en/api/messages).

Caching (https://docs.claude.com/en/docs/build-with-claude/prompt-caching): at most four breakpoints are allowed. One
stands behind the tools, one behind the system prompt, one at the end of the conversation, and one at the end of the
user's turn before: a cached prefix is only looked for within twenty blocks, which one large batch of calls exceeds.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from kugetsu.messages import Image, InputContent, ReplyContent, Text, Thinking, ToolCall, ToolResult
from kugetsu.models.encoding import JsonObject, arguments_object, tool_name
from kugetsu.models.turns import AssistantTurn, Turn, UserTurn
from kugetsu.protocols import ToolSpec

_CACHE_HERE: Final[JsonObject] = {"type": "ephemeral"}
_CACHED_TURNS: Final = 2
_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}")


def tool_list(tools: tuple[ToolSpec, ...]) -> list[JsonObject]:
    """Tools, with a caching breakpoint behind the last."""
    shaped: list[JsonObject] = [
        {"name": tool.name, "description": tool.description, "input_schema": tool.schema} for tool in tools
    ]
    if shaped:
        shaped[-1]["cache_control"] = _CACHE_HERE
    return shaped


def retired_tools(messages: Iterable[JsonObject]) -> list[JsonObject]:
    """Stand-ins for the tools of past calls: a conversation with calls is refused when no tools are named."""
    names = {block["name"] for message in messages for block in message["content"] if block["type"] == "tool_use"}
    return [
        {"name": name, "description": "No longer available.", "input_schema": {"type": "object"}}
        for name in sorted(names)
    ]


def system_blocks(system: str) -> list[JsonObject]:
    """The system prompt with a caching breakpoint behind it; empty when it is blank."""
    return [{"type": "text", "text": system, "cache_control": _CACHE_HERE}] if system.strip() else []


def message_list(conversation: Sequence[Turn]) -> list[JsonObject]:
    """A conversation as messages, with caching breakpoints at the ends of the user's last turns."""
    messages: list[JsonObject] = []
    for turn in conversation:
        match turn:
            case AssistantTurn():
                messages.append({"role": "assistant", "content": _reply(turn.content)})
            case UserTurn():
                content = [*map(_result, turn.results), *map(_input, turn.content)]
                messages.append({"role": "user", "content": content})
    users = [message for message in messages if message["role"] == "user"]
    for message in users[-_CACHED_TURNS:]:
        message["content"][-1]["cache_control"] = _CACHE_HERE
    return messages


def _reply(content: Iterable[ReplyContent]) -> list[JsonObject]:
    blocks: list[JsonObject] = []
    for block in content:
        match block:
            case Text():
                blocks.append({"type": "text", "text": block.text})
            case Thinking(redacted=data) if data:
                blocks.append({"type": "redacted_thinking", "data": data})
            case Thinking():
                # Without its signature it is not accepted as the model's own.
                if block.signature:
                    blocks.append({"type": "thinking", "thinking": block.text, "signature": block.signature})
            case ToolCall():
                arguments = msgspec.Raw(arguments_object(block.arguments))
                call = {"type": "tool_use", "id": _call_id(block.id), "name": tool_name(block.name)}
                blocks.append({**call, "input": arguments})
    return blocks


def _result(result: ToolResult) -> JsonObject:
    # A result that is an error may hold nothing but text.
    content = [_input(_worded(block) if result.is_error else block) for block in result.content]
    wire: JsonObject = {"type": "tool_result", "tool_use_id": _call_id(result.call_id), "content": content}
    if result.is_error:
        wire["is_error"] = True
    return wire


def _worded(block: InputContent) -> Text:
    return block if isinstance(block, Text) else Text(f"(a picture, {block.media_type}, is left out)")


def _input(block: InputContent) -> JsonObject:
    if isinstance(block, Image):
        source = {"type": "base64", "media_type": block.media_type, "data": block.data}
        return {"type": "image", "source": source}
    return {"type": "text", "text": block.text}


def _call_id(call_id: str) -> str:
    """An id as this API allows it; one that another provider gave gets a readable and unique stand-in."""
    if _ID.fullmatch(call_id):
        return call_id
    mark = hashlib.blake2s(call_id.encode("utf-8", "replace"), digest_size=8).hexdigest()
    return f"call_{mark}"
