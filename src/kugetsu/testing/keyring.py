"""The tokens of a store in memory."""

import msgspec

from kugetsu.errors import StateConflictError, UsageError
from kugetsu.protocols import Clock, SystemClock, Token


class MemoryKeyring:
    """All tokens. Implements `protocols.Keyring`."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._tokens: dict[str, Token] = {}

    async def add_token(self, token: Token) -> None:
        """Keep a token."""
        names = {other.name for other in self._tokens.values() if not other.revoked_at}
        if token.id in self._tokens or token.name in names:
            raise StateConflictError(f"there is a token {token.name!r} already", fix="give it another name")
        self._tokens[token.id] = token

    async def tokens(self) -> list[Token]:
        """All of them, oldest first."""
        return list(self._tokens.values())

    async def revoke_token(self, name: str) -> Token:
        """Let a token count no longer."""
        found = [token for token in self._tokens.values() if name in {token.name, token.id}]
        if not found:
            raise UsageError(f"there is no token {name!r}", fix="`kugetsu token list` shows all tokens")
        token = next((token for token in reversed(found) if not token.revoked_at), found[-1])
        if not token.revoked_at:
            token = msgspec.structs.replace(token, revoked_at=self._clock.now())
        self._tokens[token.id] = token
        return token
