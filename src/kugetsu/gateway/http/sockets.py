"""The sockets that the server listens on."""

import errno
import socket
from typing import Final

from kugetsu.config import HttpSettings
from kugetsu.errors import ConfigError

BACKLOG: Final = 2_048
"""Connections that wait to be accepted."""

_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - said in place of addresses that nobody can call


def listen(settings: HttpSettings) -> list[socket.socket]:
    """Listen on every address of the host that the settings name. With port 0 all get the same free one.

    Raises:
        ConfigError: it cannot be; the message names the setting.
    """
    sockets: list[socket.socket] = []
    port = settings.port
    try:
        for family, address in _addresses(settings):
            sockets.append(_bound(family, address, port))
            port = sockets[0].getsockname()[1]
    except OSError as error:
        for made in sockets:
            made.close()
        raise _refused(settings, error) from error
    return sockets


def url_of(sockets: list[socket.socket]) -> str:
    """Where programs on this machine reach the server."""
    host, port = sockets[0].getsockname()[:2]
    host = _ANY.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _addresses(settings: HttpSettings) -> list[tuple[socket.AddressFamily, str]]:
    try:
        found = socket.getaddrinfo(settings.host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"`http.host` is {settings.host!a}, which is no address of this machine: {error}",
            fix="use 127.0.0.1, or an address of this machine",
        ) from error
    return list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))


def _bound(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # said, or asyncio sets no TCP_NODELAY
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.setblocking(False)
        made.bind((address, port))
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    return made


def _refused(settings: HttpSettings, error: OSError) -> ConfigError:
    match error.errno:
        case errno.EADDRINUSE:
            return ConfigError(
                f"`http.port` is {settings.port}, which another program uses on {settings.host}",
                fix="set `http.port` to another one (0: any that is free), or `http.enabled` to false",
            )
        case errno.EACCES | errno.EPERM:
            return ConfigError(
                f"`http.port` is {settings.port}, where this user may not listen", fix="take one above 1023"
            )
        case _:
            return ConfigError(
                f"cannot listen on `http.host` {settings.host!a}, `http.port` {settings.port}: {error.strerror}",
                fix="use an address of this machine",
            )
