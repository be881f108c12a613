"""What tasks are about: issues and pull requests, by the names that people give them."""

import re
from typing import Final

import msgspec

_HOST: Final = r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?(?::\d{1,5})?)"
_PATH: Final = r"(?P<path>[\w.-]{1,100}(?:/(?!-/)[\w.-]{1,100}){1,5})"
_NUMBER: Final = r"(?P<number>[1-9]\d{0,17})"
_FULL: Final = re.compile(rf"{_HOST}/{_PATH}#{_NUMBER}", re.ASCII)
_SHORT: Final = re.compile(rf"{_PATH}#{_NUMBER}", re.ASCII)
_URL: Final = re.compile(
    rf"https?://{_HOST}/{_PATH}/(?:-/)?(?:issues|pull|pulls|merge_requests)/{_NUMBER}(?:[/?#].*)?", re.ASCII
)


class Subject(msgspec.Struct, frozen=True):
    """An issue or a pull request.

    Attributes:
        host: in small letters; empty when it was not said.
        path: `owner/repo`, in small letters; more parts where groups have groups.
        number: from 1.
    """

    host: str
    path: str
    number: int

    def __str__(self) -> str:
        """As it is kept: `host/owner/repo#number`."""
        return f"{self.project}#{self.number}"

    @property
    def project(self) -> str:
        """The repository's name: `host/owner/repo`."""
        return f"{self.host}/{self.path}" if self.host else self.path


def parse_subject(text: str) -> Subject | None:
    """Read `host/owner/repo#number`, `owner/repo#number`, or the URL of an issue or a pull request; None for anything else.

    The first part of `a/b/c#1` is a host when there is a dot, a colon or `localhost` in it.
    """
    text = text.strip()
    found = _URL.fullmatch(text)
    if found is None:
        found = _FULL.fullmatch(text)
        if found is not None and not _is_host(found["host"]):
            found = None
    if found is not None:
        return Subject(found["host"].lower(), found["path"].lower(), int(found["number"]))
    found = _SHORT.fullmatch(text)
    return None if found is None else Subject("", found["path"].lower(), int(found["number"]))


def _is_host(name: str) -> bool:
    return "." in name or ":" in name or name.lower() == "localhost"
