"""Replies of a script as the streams that providers send: a list of server-sent events, ready to be written."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from kugetsu.config import Wire
from kugetsu.rehearsal import ScriptedCall, ScriptedTurn

SIGNATURE: Final = "scripted-signature"
"""Under every piece of scripted reasoning on the Anthropic wire."""

_TEXT_PIECE: Final = 16
_ARGUMENTS_PIECE: Final = 32
_MODEL: Final = "scripted"

_encode = msgspec.json.Encoder().encode


def event(data: object, name: str = "") -> bytes:
    """Write one event; `data` is JSON or already bytes."""
    payload = data if isinstance(data, bytes) else _encode(data)
    head = f"event: {name}\n".encode() if name else b""
    return b"%sdata: %s\n\n" % (head, payload)


def reply_events(wire: Wire, turn: ScriptedTurn, place: int, *, stop: str = "") -> list[bytes]:
    """A whole reply.

    Args:
        wire: whose shape.
        turn: what is said.
        place: of the entry in its script; makes ids of calls.
        stop: instead of the stop reason that follows from the turn.
    """
    calls = [(call.id or f"call_{place + 1}_{n + 1}", call) for n, call in enumerate(turn.tool_calls)]
    if wire == "anthropic":
        return [event(data, data["type"]) for data in _anthropic(turn, calls, place, stop)]
    return [*map(event, _openai(turn, calls, place, stop)), event(b"[DONE]")]


def _pieces(text: str, length: int) -> list[str]:
    return [text[start : start + length] for start in range(0, len(text), length)]


def _arguments(call: ScriptedCall) -> str:
    return call.arguments if isinstance(call.arguments, str) else _encode(call.arguments).decode()


def _openai(
    turn: ScriptedTurn, calls: list[tuple[str, ScriptedCall]], place: int, stop: str
) -> Iterator[dict[str, Any]]:
    frame = {"id": f"chatcmpl-{place}", "object": "chat.completion.chunk", "created": 0, "model": _MODEL}

    def chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        return {**frame, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

    yield chunk({"role": "assistant", "content": ""})
    for piece in _pieces(turn.thinking, _TEXT_PIECE):
        yield chunk({"reasoning_content": piece})
    for piece in _pieces(turn.text, _TEXT_PIECE):
        yield chunk({"content": piece})
    for index, (call_id, call) in enumerate(calls):
        function = {"name": call.name, "arguments": ""}
        yield chunk({"tool_calls": [{"index": index, "id": call_id, "type": "function", "function": function}]})
        for piece in _pieces(_arguments(call), _ARGUMENTS_PIECE):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield chunk({}, stop or turn.stop or ("tool_calls" if calls else "stop"))
    usage = {
        "prompt_tokens": turn.usage.input,
        "completion_tokens": turn.usage.output,
        "total_tokens": turn.usage.input + turn.usage.output,
        "prompt_tokens_details": {"cached_tokens": turn.usage.cached},
    }
    yield {**frame, "choices": [], "usage": usage}


def _anthropic(
    turn: ScriptedTurn, calls: list[tuple[str, ScriptedCall]], place: int, stop: str
) -> Iterator[dict[str, Any]]:
    used = turn.usage
    counts = {"input_tokens": used.input - used.cached, "cache_read_input_tokens": used.cached}
    usage = {**counts, "cache_creation_input_tokens": 0, "output_tokens": min(1, used.output)}
    message = {"id": f"msg_{place}", "type": "message", "role": "assistant", "model": _MODEL, "content": []}
    yield {"type": "message_start", "message": {**message, "stop_reason": None, "usage": usage}}
    yield {"type": "ping"}
    for index, (block, deltas) in enumerate(_blocks(turn, calls)):
        yield {"type": "content_block_start", "index": index, "content_block": block}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    cut = "max_tokens" if turn.stop == "length" else ""
    reason = stop or cut or ("tool_use" if calls else "end_turn")
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": reason, "stop_sequence": None},
        "usage": {"output_tokens": used.output},
    }
    yield {"type": "message_stop"}


def _blocks(
    turn: ScriptedTurn, calls: list[tuple[str, ScriptedCall]]
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Each block as it begins, and its deltas."""
    if turn.thinking:
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in _pieces(turn.thinking, _TEXT_PIECE)]
        start = {"type": "thinking", "thinking": "", "signature": ""}
        yield start, [*deltas, {"type": "signature_delta", "signature": SIGNATURE}]
    if turn.text:
        yield (
            {"type": "text", "text": ""},
            [{"type": "text_delta", "text": piece} for piece in _pieces(turn.text, _TEXT_PIECE)],
        )
    for call_id, call in calls:
        yield (
            {"type": "tool_use", "id": call_id, "name": call.name, "input": {}},
            [
                {"type": "input_json_delta", "partial_json": piece}
                for piece in _pieces(_arguments(call), _ARGUMENTS_PIECE)
            ],
        )
