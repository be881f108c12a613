"""What a scripted server can do wrong, as real ones do it."""

from typing import Final, Literal, TypeAlias

import msgspec

from kugetsu.config import Wire
from kugetsu.errors import ModelFailure

FaultKind: TypeAlias = Literal[
    "status", "reset", "end", "stall", "garbage", "unknown_event", "stream_error", "refused", "drip"
]
"""What goes wrong: an error status; in mid-reply a connection reset, a clean end, silence, an event that is no JSON, an
event nobody knows, an error event, a refusal; or nothing but that the reply comes byte by byte."""


class Fault(msgspec.Struct, frozen=True):
    """One thing that goes wrong with one request.

    Attributes:
        kind: what.
        status: of a `status` fault; it also chooses the words of the error.
        headers: of a `status` fault, for example `{"retry-after": "3"}`.
        body: of a `status` or `stream_error` fault; empty for the provider's usual one.
        after: events of the reply that come before the fault; None for half of them.
    """

    kind: FaultKind
    status: int = 500
    headers: dict[str, str] = {}
    body: bytes = b""
    after: int | None = None

    @property
    def replaces(self) -> bool:
        """Whether the reply is lost, so that its entry of the script serves the next request."""
        return self.kind != "drip"


OVERFLOW: Final = 413
"""Status that stands for a conversation that is too long; it is sent as 400, as providers do."""


def fault_of(failure: ModelFailure, wire: Wire, retry_after: float | None = None) -> Fault:
    """The fault that a client should take for this failure; an error status says how long to wait."""
    headers = {} if retry_after is None else {"retry-after": f"{retry_after:g}"}
    match failure:
        case "network":
            return Fault("reset", after=1)  # also a reply without a word has one event before its end
        case "stall":
            return Fault("stall", after=0)
        case "malformed":
            return Fault("garbage", after=1)
        case "refused":
            return Fault("refused")
        case "overloaded":
            return Fault("status", 529 if wire == "anthropic" else 503, headers)
        case _:
            return Fault("status", _STATUSES[failure], headers)


_STATUSES: Final[dict[ModelFailure, int]] = {
    "authentication": 401,
    "bad_request": 400,
    "context_overflow": OVERFLOW,
    "not_found": 404,
    "quota": 402,
    "rate_limited": 429,
}

_OPENAI: Final[dict[int, tuple[str, str | None, str]]] = {
    400: ("invalid_request_error", None, "Invalid value for one of the parameters."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    402: ("insufficient_quota", "insufficient_quota", "Insufficient Balance"),
    403: ("permission_error", None, "You are not allowed to use this model."),
    404: ("invalid_request_error", "model_not_found", "The model `scripted` does not exist."),
    OVERFLOW: (
        "invalid_request_error",
        "context_length_exceeded",
        "This model's maximum context length is 8192 tokens.",
    ),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached for requests per minute."),
    500: ("server_error", None, "The server had an error while processing your request."),
    503: ("server_error", None, "The engine is currently overloaded, please try again later."),
}

_ANTHROPIC: Final[dict[int, tuple[str, str]]] = {
    400: ("invalid_request_error", "messages: field required"),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "Your credit balance is too low to access the API."),
    403: ("permission_error", "Your API key does not have permission to use this model."),
    404: ("not_found_error", "model: scripted"),
    OVERFLOW: ("invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum"),
    429: ("rate_limit_error", "This request would exceed your organization's rate limit of requests per minute."),
    500: ("api_error", "Internal server error"),
    503: ("api_error", "Service unavailable"),
    529: ("overloaded_error", "Overloaded"),
}


def error_body(wire: Wire, status: int, message: str = "") -> bytes:
    """The body of an error as the provider would word it.

    Args:
        wire: whose shape.
        status: chooses the words.
        message: instead of the usual words.
    """
    if wire == "anthropic":
        kind, words = _ANTHROPIC.get(status, _ANTHROPIC[500])
        return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message or words}})
    kind, code, words = _OPENAI.get(status, _OPENAI[500])
    error = {"message": message or words, "type": kind, "param": None, "code": code}
    return msgspec.json.encode({"error": error})
