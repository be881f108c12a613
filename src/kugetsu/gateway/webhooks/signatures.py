"""Whether a body comes from who shares a secret with us.

GitHub: https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries; Gitea and Forgejo sign the same bytes
in the same way under names of their own. The generic scheme is that of Hermes: the time is signed too.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from typing import Final

from kugetsu.config import SourceKind
from kugetsu.errors import AccessError, UsageError

_HUB: Final = "x-hub-signature-256"
_BODY_HEADERS: Final[Mapping[SourceKind, Mapping[str, str]]] = {
    "github": {_HUB: "sha256="},
    "gitea": {"x-forgejo-signature": "", "x-gitea-signature": "", _HUB: "sha256="},
}
"""Headers that hold the signature of the body, and what stands before it."""

_TIMESTAMP: Final = "x-webhook-timestamp"
_GENERIC: Final = "x-webhook-signature-v2"
_SECONDS: Final = re.compile(r"\d{1,11}", re.ASCII)
_NOBODYS: Final = secrets.token_bytes(32)
"""What is compared for a source that has no secret, so that it takes as long as for one that has."""


def refusal() -> AccessError:
    """The one answer to an unknown source, a source without a secret and a wrong signature: nobody learns which it is."""
    return AccessError(
        "the signature is not right, or there is no such source",
        fix="compare the address and the secret with `webhooks` in the settings",
    )


def require_signed(
    kind: SourceKind, secret: bytes, headers: Mapping[str, str], body: bytes, *, tolerance: float, now: float
) -> bytes:
    """Look whether the body is signed with the secret, in constant time.

    Args:
        kind: how the source signs.
        secret: empty: nothing is ever right.
        headers: names in small letters.
        body: the bytes as they came.
        tolerance: how many seconds a signed time may be off (generic).
        now: seconds since the epoch.

    Returns:
        The bytes that were signed: what makes this delivery the same as another one.

    Raises:
        AccessError: it is not, or not any more.
    """
    if kind == "generic":
        return _require_generic(secret, headers, body, tolerance, now)
    given = [(headers[name], prefix) for name, prefix in _BODY_HEADERS[kind].items() if headers.get(name)]
    right = [_same(value, prefix + _mac(secret, body)) for value, prefix in given]
    if not secret or not right or not all(right):
        raise refusal()
    return body


def _require_generic(secret: bytes, headers: Mapping[str, str], body: bytes, tolerance: float, now: float) -> bytes:
    stamp = headers.get(_TIMESTAMP, "")
    signed = stamp.encode(errors="replace") + b"." + body
    right = _same(headers.get(_GENERIC, ""), _mac(secret, signed))
    if not secret or not right or not _SECONDS.fullmatch(stamp):
        raise refusal()
    if abs(now - int(stamp)) > tolerance:
        raise AccessError(
            f"the signed time is {abs(now - int(stamp)):,.0f} s {'behind' if int(stamp) < now else 'ahead'}",
            fix="sign each attempt anew, and compare the clocks of both machines",
        )
    return signed


def _mac(secret: bytes, content: bytes) -> str:
    return hmac.new(secret or _NOBODYS, content, hashlib.sha256).hexdigest()


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.strip().encode(errors="replace"), right.encode())


def require_json(headers: Mapping[str, str]) -> None:
    """Refuse forms, whoever sends them: of some, the signature is not that of the body.

    Raises:
        UsageError: it is one.
    """
    if "form-" in headers.get("content-type", "").lower():
        raise UsageError(
            "the body is a form, not JSON", fix="choose the content type application/json in the webhook's settings"
        )
