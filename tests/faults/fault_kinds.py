"""Every way in which a provider fails, and the places where a reply can break."""

import time
from email.utils import formatdate
from typing import Final

from kugetsu.config import Wire
from kugetsu.errors import ModelFailure
from kugetsu.rehearsal import ScriptedTurn
from kugetsu.testing import Fault
from kugetsu.testing.streams import reply_events

_ENDS: Final[dict[Wire, bytes]] = {"openai": b'"finish_reason":"', "anthropic": b"message_delta"}


def places_of(wire: Wire, turn: ScriptedTurn) -> list[int]:
    """Where a reply can break: before its first event, in its thinking, text and calls, and right before and after its end."""
    events = reply_events(wire, turn, 0)
    found = {next((place for place, event in enumerate(events) if word in event), 0) for word in (b"Turn", b"look")}
    return sorted({0, 1, *found, whole_at(wire, turn) - 1, whole_at(wire, turn), len(events)})


def whole_at(wire: Wire, turn: ScriptedTurn) -> int:
    """After how many events a reply lacks nothing: when it has said why it ends."""
    events = reply_events(wire, turn, 0)
    return next(place for place, event in enumerate(events, 1) if _ENDS[wire] in event)


def error_statuses() -> dict[str, Fault]:
    """Answers that are no reply, and that may be another one the next time."""
    statuses = (408, 409, 425, 429, 500, 502, 503, 504, 520, 529, 599)
    soon = formatdate(time.time() + 3, usegmt=True)
    return {
        **{f"status {status}": Fault("status", status) for status in statuses},
        "retry-after in seconds": Fault("status", 429, {"retry-after": "3"}),
        "retry-after in milliseconds": Fault("status", 503, {"retry-after-ms": "1500"}),
        "retry-after as a date": Fault("status", 429, {"retry-after": soon}),
        "retry-after in the past": Fault("status", 429, {"retry-after": "Sat, 22 Nov 2025 08:00:20 GMT"}),
        "retry-after of nonsense": Fault("status", 503, {"retry-after": "soon"}),
        "a wait in words": Fault("status", 429, body=b'{"error": {"message": "Please try again in 1m2.5s."}}'),
        "an empty body": Fault("status", 500, body=b" "),
        "a body of another kind": Fault("status", 502, body=b"<html><h1>502 Bad Gateway</h1></html>"),
        "a body that is no JSON": Fault("status", 503, body=b'{"error": {"mess'),
        "a body that is no text": Fault("status", 500, body=b"\xff\xfe\x00" * 99),
        "a body that nests without end": Fault("status", 500, body=b"[" * 9_999),
        "an error in spite of 200": Fault("status", 200, body=b'{"error": {"code": 503, "message": "overloaded"}}'),
        "no stream in spite of 200": Fault("status", 200, body=b'{"choices": []}'),
    }


def broken_replies(place: int) -> dict[str, Fault]:
    """Replies that break after so many events, in ways that may not come again. Silence is not among them."""
    return {
        "reset": Fault("reset", after=place),
        "end": Fault("end", after=place),
        "garbage": Fault("garbage", after=place),
        "unknown event": Fault("unknown_event", after=place),
        "overloaded in mid-reply": Fault("stream_error", 529, after=place),
        "rate limited in mid-reply": Fault("stream_error", 429, after=place),
        "failing in mid-reply": Fault("stream_error", 500, after=place),
    }


FINAL: Final[dict[str, tuple[Fault, ModelFailure]]] = {
    "400": (Fault("status", 400), "bad_request"),
    "401": (Fault("status", 401), "authentication"),
    "402": (Fault("status", 402), "quota"),
    "403": (Fault("status", 403), "authentication"),
    "404": (Fault("status", 404), "not_found"),
    "405": (Fault("status", 405), "not_found"),
    "451": (Fault("status", 451), "refused"),
    "501": (Fault("status", 501), "bad_request"),
    "redirected": (Fault("status", 302, {"location": "http://127.0.0.1:9/"}), "bad_request"),
    "quota as 429": (
        Fault("status", 429, {"retry-after": "1"}, b'{"error": {"code": "insufficient_quota", "message": "no money"}}'),
        "quota",
    ),
    "a wait of hours": (Fault("status", 429, {"retry-after": "7200"}), "rate_limited"),
    "refused": (Fault("refused"), "refused"),
    "bad request in mid-reply": (Fault("stream_error", 400), "bad_request"),
    "no money in mid-reply": (Fault("stream_error", 402), "quota"),
    "no key in mid-reply": (Fault("stream_error", 401), "authentication"),
}
"""What does not pass by trying again, and the class that a run ends with."""
