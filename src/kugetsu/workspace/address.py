"""Where a task's repository is: a directory of this machine, or a URL."""

import hashlib
import os
import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import msgspec

from kugetsu.errors import RepositoryError
from kugetsu.tasks import redacted
from kugetsu.workspace.wording import printable

_SCHEMES: Final = frozenset({"file", "git", "http", "https", "ssh"})
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_SCP_LIKE: Final = re.compile(r"[A-Za-z0-9_][^\s/:@]*@[A-Za-z0-9\[][^\s/@]*:[^\s]+")
_LONGEST_NAME: Final = 60


class RemoteUrl(msgspec.Struct, frozen=True):
    """The address of a repository that has to be fetched."""

    url: str

    @property
    def shown(self) -> str:
        """As it may stand in messages: without credentials."""
        return printable(redacted(self.url))

    @property
    def mirror_name(self) -> str:
        """The name of its mirror's directory: readable, and different for different repositories.

        Credentials do not count, so that a new token does not mean a new clone.
        """
        plain = _without_credentials(self.url).rstrip("/")
        words = re.sub(r"[^A-Za-z0-9]+", "-", plain.partition("://")[2] or plain).strip("-").removesuffix("-git")
        return (
            f"{words[-_LONGEST_NAME:].strip('-') or 'repository'}-{hashlib.sha256(os.fsencode(plain)).hexdigest()[:12]}"
        )


def parse_address(repo: str) -> Path | RemoteUrl:
    """Tell a directory from a URL (`https://`, `http://`, `ssh://`, `git://`, `file://`, `user@host:path`).

    Raises:
        RepositoryError: it is neither.
    """
    _refuse_impossible(repo)
    scheme = _SCHEME.match(repo)
    if scheme and scheme[1].lower() in _SCHEMES:
        return RemoteUrl(repo)
    if scheme:
        raise RepositoryError(
            f"a repository cannot be fetched by {scheme[1]}: {redacted(repo)}", fix="use https, http, ssh, git or file"
        )
    path = _path(repo)
    if not os.path.lexists(path) and _SCP_LIKE.fullmatch(repo):
        return RemoteUrl(repo)
    return path


def _path(repo: str) -> Path:
    try:
        return Path(repo).expanduser().absolute()
    except RuntimeError as error:  # `~somebody` whom the machine does not know
        raise RepositoryError(f"{printable(repo)} is no path on this machine: {error}") from error


def _refuse_impossible(repo: str) -> None:
    """Refuse what cannot be handed to a command: nothing, a NUL, a character that no path can hold."""
    try:
        possible = bool(repo) and b"\0" not in os.fsencode(repo)
    except UnicodeEncodeError:
        possible = False
    if not possible:
        raise RepositoryError(f"{redacted(repo)!r} is no path and no URL of a repository", fix="name one with --repo")


def _without_credentials(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return redacted(url)
    if parts.scheme not in {"http", "https"}:
        return redacted(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2].lower(), parts.path, parts.query, ""))
