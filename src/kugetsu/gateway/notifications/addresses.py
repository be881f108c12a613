"""Where a webhook goes: its address, with what a task's `reply_to` fills in, which can never lead anywhere else."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from kugetsu.config.gateway import PLACEHOLDER

_LONGEST: Final = 200
_FORBIDDEN: Final = re.compile(r"[/\\%\x00-\x20\x7f-\x9f]")
_SCHEME: Final = re.compile(r"(?P<scheme>https?)://(?:[^/?#]*@)?(?P<host>[^/?#@]*)", re.IGNORECASE)


class AddressError(ValueError):
    """An address cannot be made for these news; the message says why and holds no secret."""


def filled(url: str, reply_to: Mapping[str, str]) -> str:
    """The address with its placeholders filled in, percent-encoded.

    A value is one segment of the path or a part of one, or a part of the query: it holds no slash, and is not `.` or `..`.

    Raises:
        AddressError: a name is not there, or its value cannot stand in an address.
    """
    return PLACEHOLDER.sub(lambda found: _value(found[1], reply_to), url)


def origin(url: str) -> str:
    """Scheme, host and port: what may be shown of an address, since the rest of it may be a secret."""
    found = _SCHEME.match(url)
    return f"{found['scheme'].lower()}://{found['host']}" if found else "the address"


def _value(name: str, reply_to: Mapping[str, str]) -> str:
    value = reply_to.get(name, "")
    if not value:
        raise AddressError(f"its address needs `{name}`, which the task's reply_to does not have")
    if len(value) > _LONGEST or _FORBIDDEN.search(value) or not value.strip("."):
        raise AddressError(f"`{name}` of the task's reply_to cannot stand in an address: {value[:_LONGEST]!a}")
    return quote(value, safe="")
