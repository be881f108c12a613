"""What a provider says of a failure, read out of whatever shape it says it in.

Every provider nests its errors differently: `{"error": {"message", "type", "code"}}` (OpenAI, Groq, DeepSeek, vLLM),
with numbers for codes and the true reason in `metadata` (OpenRouter), `{"type": "error", "error": {...}}` (Anthropic),
a list around it with `status` and `details` (Gemini), `{"error": "..."}` (Ollama, LM Studio), `{"object": "error",
"message"}` (older vLLM), `{"detail": ...}` (FastAPI servers), or a page of HTML. So all leaves are read, also those of
JSON inside strings, and what matters is told by the name it stands under.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

_DEEPEST: Final = 12
_WORD_KEYS: Final = frozenset({"message", "error", "detail", "msg", "error_description", "raw", "title"})
_CODE_KEYS: Final = frozenset(
    {"code", "type", "status", "reason", "error_code", "error_type", "limit_source", "quotaid"}
)
_STATUS_KEYS: Final = frozenset({"code", "status", "status_code", "http_code"})
_MARKERS: Final = frozenset({"flagged_input"})
_STATUSES: Final = {str(status): status for status in range(400, 600)}

# What is never closed reaches to the end, so that a page of openings does not cost the square of its length.
_MARKUP: Final = re.compile(r"<(script|style)\b.*?(?:</\1\s*>|\Z)|<[a-z/!?][^>]*>?", re.IGNORECASE | re.DOTALL)


class ErrorBody(msgspec.Struct, frozen=True):
    """What a provider says of a failure.

    Attributes:
        message: its words, joined; may be empty.
        codes: names it gives the failure, in lower case.
        status: HTTP status it names inside the body, None when it names none.
        hints: every other leaf by its name in lower case; waits are looked for here.
    """

    message: str = ""
    codes: frozenset[str] = frozenset()
    status: int | None = None
    hints: dict[str, str] = {}


def parse_error_body(body: bytes) -> ErrorBody:
    """Read the body of a failed request, or the data of an error event. Never raises."""
    text = body.decode("utf-8", "replace").strip()
    data = _decoded(text)
    if data is None or isinstance(data, str | int | float):
        return ErrorBody(message=_plain(text if data is None else str(data)))
    words: dict[str, None] = {}
    codes: set[str] = set()
    statuses: list[int] = []
    hints: dict[str, str] = {}
    for key, value in _leaves(data):
        if key in _WORD_KEYS and isinstance(value, str) and value.strip():
            words[_plain(value)] = None
        if key in _CODE_KEYS | _MARKERS:
            codes.add(key if key in _MARKERS else str(value).lower())
        if key in _STATUS_KEYS and (status := _status(value)):
            statuses.append(status)
        hints.setdefault(key, str(value))
    return ErrorBody(": ".join(words), frozenset(codes), statuses[0] if statuses else None, hints)


class _Envelope(msgspec.Struct):
    error: Any = None


def has_error(body: bytes) -> bool:
    """Whether a body is JSON with an error at its top. Never raises."""
    try:
        return msgspec.json.decode(body, type=_Envelope).error is not None
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False


def _leaves(node: Any, key: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - any JSON
    """All scalars with the name of the nearest object field, in order; JSON inside a string counts as its content."""
    if depth > _DEEPEST:
        return
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _leaves(value, str(name).lower(), depth + 1)
    elif isinstance(node, list):
        for value in node:
            yield from _leaves(value, key, depth + 1)
    elif isinstance(node, str) and node.lstrip()[:1] in {"{", "["} and (inner := _decoded(node)) is not None:
        yield from _leaves(inner, key, depth + 1)
    elif node is not None:
        yield key, node


def _decoded(text: str) -> Any | None:  # noqa: ANN401 - any JSON
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _status(value: object) -> int | None:
    return _STATUSES.get(str(value))


def _plain(text: str) -> str:
    """The words of a page of HTML; any other text as it is."""
    if text.lstrip()[:1] != "<":
        return text
    return " ".join(_MARKUP.sub(" ", text).split())
