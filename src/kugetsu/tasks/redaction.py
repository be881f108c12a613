"""Addresses without their secrets."""

import re
from typing import Final

# What comes from others may be made to be slow to search: parts that can begin anywhere have a longest length.
_SCHEME: Final = r"[a-z][a-z0-9+.-]{0,20}://"
_USER_INFO: Final = re.compile(rf"(?P<scheme>{_SCHEME})(?P<user>[^\s/'\"]*)@", re.IGNORECASE)
_QUERY: Final = re.compile(rf"(?P<url>{_SCHEME}[^\s'\"?]{{0,1500}})\?[^\s'\"]*", re.IGNORECASE)


def redacted(text: str) -> str:
    """The same text with the credentials of every URL in it replaced by `***`.

    The user name of an ssh URL stays: it is no secret, and the URL means nothing without it.
    """
    return _QUERY.sub(r"\g<url>?***", _USER_INFO.sub(_without_secret, text))


def _without_secret(found: re.Match[str]) -> str:
    user = found["user"].partition(":")[0]
    keep = "ssh" in found["scheme"].lower() and ":" not in found["user"]
    return f"{found['scheme']}{user if keep else '***'}@"
