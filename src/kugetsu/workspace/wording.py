"""What messages may show: no secret of a URL, no byte that a terminal would obey."""

import os
import re
from pathlib import Path
from typing import Final

_USER_INFO: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)(?P<user>[^\s/'\"]*)@", re.IGNORECASE)
_QUERY: Final = re.compile(r"(?P<url>[a-z][a-z0-9+.-]*://[^\s'\"?]*)\?[^\s'\"]*", re.IGNORECASE)


def redacted(text: str) -> str:
    """The same text with the credentials of every URL in it replaced by `***`.

    The user name of an ssh URL stays: it is no secret, and the URL means nothing without it.
    """
    return _QUERY.sub(r"\g<url>?***", _USER_INFO.sub(_without_secret, text))


def _without_secret(found: re.Match[str]) -> str:
    user = found["user"].partition(":")[0]
    keep = "ssh" in found["scheme"].lower() and ":" not in found["user"]
    return f"{found['scheme']}{user if keep else '***'}@"


def printable(name: str | bytes | Path) -> str:
    """A path or name as it can stand in a message: undecodable bytes and control characters become `?`."""
    text = os.fsencode(name).decode(errors="replace").replace("\N{REPLACEMENT CHARACTER}", "?")
    return "".join(letter if letter.isprintable() else "?" for letter in text)
