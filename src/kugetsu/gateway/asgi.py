"""What applications inside of the server have in common: the types of ASGI 3, and who sends a request."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

import msgspec

from kugetsu.protocols import Scope

AsgiScope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[AsgiScope, Receive, Send], Awaitable[None]]

CALLER: Final = "kugetsu.caller"
"""Where in an ASGI scope the `Caller` stands."""

COUNTS: Final = "kugetsu.counts"
"""Where in the ASGI scope of a stream it can be asked whether its caller may go on; not there for one that always may."""


class Caller(msgspec.Struct, frozen=True):
    """Who sends a request.

    Attributes:
        name: of the token; `local` for a program on this machine without one, `serve` for one with the token of this start.
        scopes: what it may do.
        address: where it comes from.
        token: id of the token; empty for none.
    """

    name: str
    scopes: frozenset[Scope]
    address: str
    token: str = ""

    def may(self, scope: Scope) -> bool:
        """Whether it may do this; who has `admin` may do everything."""
        return scope in self.scopes or "admin" in self.scopes
