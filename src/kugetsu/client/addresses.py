"""Where a server is, and what lets a client in."""

import os
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

import msgspec

from kugetsu.config import state_home
from kugetsu.config.daemon import running_daemon
from kugetsu.errors import RecordError, ServerError, UsageError


class Address(msgspec.Struct, frozen=True):
    """A server's address.

    Attributes:
        url: without a slash at its end.
        token: empty for none.
    """

    url: str
    token: str = ""

    def __repr__(self) -> str:
        """Shows no token."""
        return f"Address({self.url!r})"


class Finder(Protocol):
    """Knows where the server is.

    Attributes:
        address: the last that is known.
    """

    address: Address

    def look(self) -> bool:
        """Look again, after the server did not answer as expected; whether it is somewhere else now. Never raises."""
        ...


class Fixed:
    """A server that is where it was said to be.

    Raises:
        UsageError: that is no address.
    """

    def __init__(self, url: str, token: str = "") -> None:
        self.address = Address(_checked(url), token)
        if not all("!" <= character <= "~" for character in token):
            raise UsageError("the token has characters that no token has", fix="copy it once more, without quotes")

    def look(self) -> bool:
        """It is nowhere else."""
        return False


class Local:
    """The server of a state directory on this machine. It may be another one, elsewhere, after each start.

    Args:
        home: the state directory; None for that of this user.

    Raises:
        ServerError: none runs there, or it does not listen.
        RecordError: its lock cannot be read.
    """

    def __init__(self, home: Path | None = None) -> None:
        self._home = state_home(os.environ) if home is None else home
        self.address = self._find()

    def look(self) -> bool:
        """Whether another one runs there now."""
        before = self.address
        try:
            self.address = self._find()
        except (ServerError, RecordError):
            return False
        return self.address != before

    def _find(self) -> Address:
        holder = running_daemon(self._home)
        if holder is None:
            raise ServerError(f"no server works on {self._home}", fix="start one with `kugetsu serve`")
        if not holder.url:
            raise ServerError(
                f"{holder.name} (process {holder.pid}) works on {self._home}, but does not listen",
                fix="set `http.enabled`, or wait until it has started",
            )
        return Address(_checked(holder.url), holder.token)


_FIX: Final = "use an address such as http://127.0.0.1:8787"


def _checked(url: str) -> str:
    """An address as it was given, without a slash at its end.

    Raises:
        UsageError: it is none.
    """
    try:
        parts = urlsplit(url)
        if parts.username is not None or parts.password is not None:
            raise UsageError("the server's address holds a user's name or password", fix="use a token")
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment or not url.isascii() or not url.isprintable() or " " in url:
        raise UsageError(f"{url[:200]!a} is no address of a server", fix=_FIX)
    return url.rstrip("/")
