"""Where a request comes from, and under which name the server is called: against DNS rebinding and foreign pages."""

import ipaddress
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from kugetsu.config import HttpSettings
from kugetsu.errors import ConfigError
from kugetsu.gateway.http.problems import Refusal

_MOST_HOPS: Final = 32
_MARKS_OF_PROXIES: Final = ("x-forwarded-for", "forwarded", "x-real-ip", "via", "x-forwarded-host")

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Origins:
    """Looks at where requests come from.

    Args:
        settings: of the server.

    Attributes:
        local: whether the server listens on a loopback address.

    Raises:
        ConfigError: a trusted proxy is no address, or the public URL is none.
    """

    def __init__(self, settings: HttpSettings) -> None:
        self.local = is_loopback(settings.host)
        self._proxies = tuple(_network(text) for text in settings.trusted_proxies)
        self._any_name = "*" in settings.hosts
        public = _public(settings.public_url)
        self._names = {"localhost", *(name_of(text) for text in (settings.host, public, *settings.hosts) if text)}

    def address(self, scope: Mapping[str, Any], headers: Mapping[str, str]) -> str:
        """Where a request comes from: the other end, or, when that is a trusted proxy, what it says."""
        client = scope.get("client")
        address = str(client[0]) if client else ""
        if self._proxies and self._trusts(address) and (hops := headers.get("x-forwarded-for")):
            for hop in reversed(hops.split(",")[-_MOST_HOPS:]):
                if (known := _plain(hop)) is None:
                    break
                address = known
                if not self._trusts(address):
                    break
        return address

    def require_known(self, scope: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        """Refuse what a foreign page could have sent.

        Raises:
            Refusal: `forbidden`: the server is called by a name that is not its own, or a page of somebody else calls it.
        """
        host = headers.get("host", "")
        name = name_of(host)
        if not (self._any_name or name in self._names or self._reached(scope, name)):
            raise Refusal(
                "forbidden",
                f"this server is not called {name[:200]!a}",
                fix="add the name to `http.hosts`, or set `http.public_url`",
            )
        origin = headers.get("origin")
        if origin is not None and urlsplit_netloc(origin) != host.lower():
            raise Refusal(
                "forbidden", f"requests of pages of {origin[:200]!a} are not taken", fix="call from no browser"
            )

    def is_near(self, headers: Mapping[str, str], address: str) -> bool:
        """Whether a request comes from a program on this machine, under a name of this machine, and through no proxy."""
        return (
            self.local
            and is_loopback(address)
            and is_loopback(name_of(headers.get("host", "")))
            and not any(mark in headers for mark in _MARKS_OF_PROXIES)
        )

    def _trusts(self, address: str) -> bool:
        try:
            known = _unmapped(ipaddress.ip_address(address))
        except ValueError:
            return False
        return any(known.version == network.version and known in network for network in self._proxies)

    @staticmethod
    def _reached(scope: Mapping[str, Any], name: str) -> bool:
        """Whether the name is the very address that was reached: no name server had a say in it."""
        server = scope.get("server")
        return server is not None and name == str(server[0]).lower()


def is_loopback(host: str) -> bool:
    """Whether an address or a name is this machine and nobody else can come in there."""
    if host.lower() == "localhost":
        return True
    try:
        return _unmapped(ipaddress.ip_address(host)).is_loopback
    except ValueError:
        return False


def name_of(host: str) -> str:
    """The name in a `Host` header, in small letters: without port, an IPv6 address without its brackets."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host if host.count(":") > 1 else host.partition(":")[0]


def urlsplit_netloc(origin: str) -> str:
    """Host and port in an `Origin` header, in small letters; `null` and whatever cannot be read have none."""
    try:
        found = urlsplit(origin)
    except ValueError:
        return ""
    return found.netloc.lower() if found.scheme in {"http", "https"} else ""


def _public(url: str) -> str:
    """Host and port of the public URL; empty for none."""
    try:
        return urlsplit(url).netloc
    except ValueError:
        raise ConfigError(
            f"`http.public_url` is {url[:200]!a}, which is no URL", fix="write for example https://kugetsu.example.org"
        ) from None


def _network(text: str) -> _Network:
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        raise ConfigError(
            f"`http.trusted_proxies` has {text[:80]!a}, which is no address",
            fix="name addresses or networks, as 10.0.0.0/8",
        ) from None


def _plain(hop: str) -> str | None:
    """The address in one part of `X-Forwarded-For`, which may have a port; None when it is none."""
    try:
        return str(_unmapped(ipaddress.ip_address(name_of(hop))))
    except ValueError:
        return None


def _unmapped(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An IPv4 address that is written as one of IPv6, as IPv4."""
    return getattr(address, "ipv4_mapped", None) or address
