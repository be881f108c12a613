"""The seam to tokens: who may do what over HTTP. Only digests are kept."""

from typing import Final, Literal, Protocol, get_args

import msgspec

Scope = Literal["submit", "read", "control", "admin"]
"""What a token is for: put tasks into the queue; look at everything; change tasks; all of it, and more than the settings allow."""

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A token, without its secret.

    Attributes:
        id: the public part of it.
        name: for people.
        digest: SHA-256 of the secret part, which is random and long, in hexadecimal digits.
        scopes: what it is for.
        created_at: seconds since the epoch.
        revoked_at: when it ceased to count; 0 while it does.
    """

    id: str
    name: str
    digest: str
    scopes: tuple[Scope, ...]
    created_at: float
    revoked_at: float = 0.0


class Keyring(Protocol):
    """All tokens."""

    async def add_token(self, token: Token) -> None:
        """Keep a token.

        Raises:
            StateConflictError: there is one of this id or of this name that counts.
            RecordError: it could not be written.
        """
        ...

    async def tokens(self) -> list[Token]:
        """All of them, oldest first, also those that are revoked.

        Raises:
            RecordError: they could not be read.
        """
        ...

    async def revoke_token(self, name: str) -> Token:
        """Let a token count no longer. May be called twice.

        Args:
            name: its name, or its id. Of several one that counts, or else the newest.

        Raises:
            UsageError: there is none.
            RecordError: it could not be written.
        """
        ...
