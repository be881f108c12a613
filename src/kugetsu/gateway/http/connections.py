"""Connections that can be broken off: a server's own protocol that hands its transport to the application."""

import asyncio
import socket
from collections.abc import Mapping
from typing import Any, Final, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

_TRANSPORT: Final = "kugetsu.transport"
_SEND_BYTES: Final = 128 * 1024


class BreakableProtocol(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it (`uvicorn.Config(http=BreakableProtocol)`), for applications that use `Connection`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Note the transport where the application finds it: in the state of each request."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, _TRANSPORT: transport}


class Connection:
    """The connection that a request came over; one that is not known can do nothing.

    Args:
        scope: of the request.
    """

    def __init__(self, scope: Mapping[str, Any]) -> None:
        self._transport = cast("asyncio.Transport | None", scope.get("state", {}).get(_TRANSPORT))

    def bound(self, seconds: float) -> None:
        """Let the kernel keep little for a client that does not read, and give it up when it takes nothing for so long.

        Without it the kernel keeps megabytes for each, and one that vanished without a word is noticed after a quarter
        of an hour.
        """
        found = self._transport.get_extra_info("socket") if self._transport else None
        if found is not None and found.family in {socket.AF_INET, socket.AF_INET6}:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, int(seconds * 1000)))

    def break_off(self) -> None:
        """Close it at once; what was not sent is lost, and the other side sees that the answer is not whole."""
        if self._transport is not None:
            self._transport.abort()
