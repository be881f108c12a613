"""Tokens: how they look, how they are made, and how one is known again.

A token is `kgt_<id>_<secret>`. The id finds it, the secret proves it: 256 random bits, of which the digest alone is kept.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from typing import Final, NamedTuple

from kugetsu.errors import UsageError
from kugetsu.protocols import Scope, Token

_FORM: Final = re.compile(r"kgt_([0-9a-z]{1,32})_([0-9A-Za-z_-]{1,128})")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_ID_BYTES: Final = 5
_SECRET_BYTES: Final = 32


class Presented(NamedTuple):
    """A token as a caller shows it."""

    id: str
    secret: str


def make_token(name: str, scopes: Sequence[Scope], now: float) -> tuple[Token, str]:
    """Make a token: what is kept of it, and what its user gets to see, once.

    Args:
        name: for people.
        scopes: what it is for.
        now: seconds since the epoch.

    Raises:
        UsageError: the name cannot be one, or it is for nothing.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"the name of a token cannot be {name[:80]!a}",
            fix="use letters, digits, `.`, `_`, `@` and `-`, a letter or digit first, at most 64 characters",
        )
    if not scopes:
        raise UsageError("the token is for nothing", fix="name one scope or more")
    public, secret = secrets.token_hex(_ID_BYTES), secrets.token_hex(_SECRET_BYTES)
    kept = Token(id=public, name=name, digest=digest_of(secret), scopes=tuple(dict.fromkeys(scopes)), created_at=now)
    return kept, f"kgt_{public}_{secret}"


def passing_token() -> str:
    """Make a token that is kept nowhere: it counts for as long as whoever made it says so."""
    return f"kgt_serve_{secrets.token_hex(_SECRET_BYTES)}"


def read_token(text: str) -> Presented | None:
    """Take a token apart; None when it is none."""
    found = _FORM.fullmatch(text)
    return Presented(found[1], found[2]) if found else None


def digest_of(secret: str) -> str:
    """What is kept of a secret: SHA-256, in hexadecimal digits. It needs no salt, being random and long."""
    return hashlib.sha256(secret.encode()).hexdigest()


def proves(secret: str, digest: str) -> bool:
    """Whether a secret is the one with this digest, in constant time."""
    return hmac.compare_digest(digest_of(secret), digest)
