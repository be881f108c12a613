"""The rules by which providers refuse a request: what the scripted server checks before it replies."""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

import msgspec

from kugetsu.config import Wire

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ANTHROPIC_ID: Final = re.compile(r"[a-zA-Z0-9_-]+")
_IMAGE: Final = re.compile(r"data:image/(png|jpeg|gif|webp);base64,.+", re.DOTALL)
_IMAGE_TYPES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_BLOCKS: Final = frozenset({"text", "thinking", "redacted_thinking", "image"})
_BREAKPOINTS: Final = 4

Json = dict[str, Any]


def problems(wire: Wire, body: Json) -> list[str]:
    """What a provider would refuse in a request, one sentence each; empty when it is valid.

    Stricter than any one provider: each rule is one that at least one of them has.
    """
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        return ["messages must be a list that is not empty"]
    found = [*_common(body), *(_openai(messages) if wire == "openai" else _anthropic(body, messages))]
    return list(dict.fromkeys(found))


def _common(body: Json) -> Iterator[str]:
    if not body.get("model"):
        yield "model is missing"
    if body.get("stream") is not True:
        yield "this server streams only"
    if body.get("tools") == []:
        yield "tools must not be empty"
    for tool in body.get("tools", ()):
        if not _NAME.fullmatch(tool.get("function", tool)["name"]):
            yield "a tool has an invalid name"


def _blank(text: object) -> bool:
    return not isinstance(text, str) or not text.strip()


def _openai(messages: list[Json]) -> Iterator[str]:
    head, rest = (messages[:1], messages[1:]) if messages[0]["role"] == "system" else ([], messages)
    if any(_blank(message["content"]) for message in head):
        yield "the system prompt is blank"
    if not rest or rest[0]["role"] != "user":
        yield "the first message must be the user's"
    if messages[-1]["role"] == "assistant":
        yield "the last message must not be the assistant's"
    seen: set[str] = set()
    for message in rest:
        match message["role"]:
            case "user":
                yield from _openai_user(message["content"])
            case "assistant":
                yield from _openai_assistant(message, seen)
            case "tool":
                if _blank(message["content"]) or not _NAME.fullmatch(message["name"]):
                    yield "a result is blank or has no name"
            case role:
                yield f"unknown role {role}"
    yield from _openai_pairs(rest)


def _openai_pairs(messages: list[Json]) -> Iterator[str]:
    waiting: set[str] = set()
    for message in [*messages, {"role": "user"}]:
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                yield "a result does not follow its call"
            waiting.discard(message["tool_call_id"])
        elif waiting:
            yield f"calls without results: {sorted(waiting)}"
        if message["role"] == "assistant":
            waiting = {call["id"] for call in message.get("tool_calls", ())}


def _openai_user(content: object) -> Iterator[str]:
    if not isinstance(content, list) or not content:
        if _blank(content):
            yield "the user says nothing"
        return
    for part in content:
        if part["type"] == "text" and _blank(part["text"]):
            yield "a text part is blank"
        if part["type"] == "image_url" and not _IMAGE.fullmatch(part["image_url"]["url"]):
            yield "a picture is of an unknown type"


def _openai_assistant(message: Json, seen: set[str]) -> Iterator[str]:
    calls = message.get("tool_calls")
    if calls == [] or (not calls and _blank(message.get("content"))):
        yield "an assistant message is empty"
    if message.get("content") is not None and _blank(message["content"]):
        yield "an assistant message is blank"
    for call in calls or ():
        if not call["id"] or call["id"] in seen:
            yield f"the id of a call is missing or used twice: {call['id']!r}"
        seen.add(call["id"])
        if not _NAME.fullmatch(call["function"]["name"]):
            yield "a call has an invalid name"
        if not isinstance(msgspec.json.decode(call["function"]["arguments"]), dict):
            yield "the arguments of a call are no object"


def _anthropic(body: Json, messages: list[Json]) -> Iterator[str]:
    if not isinstance(body.get("max_tokens"), int):
        yield "max_tokens is missing"
    if "system" in body and any(_blank(block["text"]) for block in body["system"]):
        yield "the system prompt is blank"
    yield from _anthropic_roles(messages)
    seen: set[str] = set()
    for message, after in zip(messages, [*messages[1:], None], strict=True):
        yield from (problem for block in message["content"] for problem in _anthropic_block(block))
        if message["role"] == "assistant":
            yield from _anthropic_calls(message, after, seen)
    if seen and not body.get("tools"):
        yield "a conversation with calls must name tools"
    if _breakpoints(body) > _BREAKPOINTS:
        yield "too many breakpoints"


def _anthropic_roles(messages: list[Json]) -> Iterator[str]:
    if messages[0]["role"] != "user" or messages[-1]["role"] != "user":
        yield "the first and the last message must be the user's"
    if any(one["role"] == other["role"] for one, other in pairwise(messages)):
        yield "roles must alternate"
    if not all(message["content"] for message in messages):
        yield "a message is empty"
    if any(block["type"] == "tool_result" for block in messages[0]["content"]):
        yield "results without calls in the message before"


def _anthropic_calls(message: Json, after: Json | None, seen: set[str]) -> Iterator[str]:
    content = message["content"]
    if content and content[-1]["type"] in {"thinking", "redacted_thinking"}:
        yield "the last block must not be thinking"
    ids = [block["id"] for block in content if block["type"] == "tool_use"]
    if len({*ids, *seen}) != len(ids) + len(seen):
        yield "ids of calls are used twice"
    seen.update(ids)
    following = after["content"] if after else []
    answered = [block["tool_use_id"] for block in following[: len(ids)] if block["type"] == "tool_result"]
    if sorted(answered) != sorted(ids):
        yield "calls without results in the next message"
    if any(block["type"] == "tool_result" for block in following[len(ids) :]):
        yield "results without calls in the message before"


def _anthropic_block(block: Json) -> Iterator[str]:
    match block["type"]:
        case "text" if _blank(block["text"]):
            yield "a text block is blank"
        case "thinking" if not block["signature"]:
            yield "thinking without a signature"
        case "redacted_thinking" if not block["data"]:
            yield "redacted thinking without data"
        case "image" if block["source"]["media_type"] not in _IMAGE_TYPES or not block["source"]["data"]:
            yield "a picture is of an unknown type"
        case "tool_use":
            yield from _anthropic_call(block)
        case "tool_result":
            yield from _anthropic_result(block)
        case kind if kind not in _BLOCKS:
            yield f"unknown block {kind}"


def _anthropic_call(block: Json) -> Iterator[str]:
    if not _NAME.fullmatch(block["name"]) or not _ANTHROPIC_ID.fullmatch(block["id"]):
        yield "a call has an invalid name or id"
    if not isinstance(block["input"], dict):
        yield "the input of a call is no object"


def _anthropic_result(block: Json) -> Iterator[str]:
    if not block["content"]:
        yield "a result is empty"
    if block.get("is_error") and any(inner["type"] != "text" for inner in block["content"]):
        yield "a result that is an error may hold text only"
    for inner in block["content"]:
        yield from _anthropic_block(inner)


def _breakpoints(node: object) -> int:
    if isinstance(node, dict):
        return ("cache_control" in node) + sum(map(_breakpoints, node.values()))
    return sum(map(_breakpoints, node)) if isinstance(node, list) else 0
