"""What a server refuses, as the errors that the same would raise here. Format: RFC 9457."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from kugetsu.errors import (
    AccessError,
    ConfigError,
    KugetsuError,
    QueueFullError,
    RecordError,
    RepositoryError,
    ServerError,
    StateConflictError,
    TaskNotFoundError,
    UsageError,
    WorkspaceError,
)

_URN: Final = "urn:kugetsu:problem:"
_LONGEST: Final = 2_000
_UNKNOWN_WAIT: Final = 30.0
_UNAUTHORISED: Final = 401

_ERRORS: Final[Mapping[str, Callable[..., KugetsuError]]] = {
    "bad-request": UsageError,
    "unauthorised": AccessError,
    "forbidden": AccessError,
    "not-found": TaskNotFoundError,
    "conflict": StateConflictError,
    "too-large": UsageError,
    "usage": UsageError,
    "config": ConfigError,
    "repository": RepositoryError,
    "workspace": WorkspaceError,
    "store": RecordError,
}

_FULL: Final = {"queue-full", "rate-limited"}


class UnreachableError(ServerError):
    """A server does not answer.

    Attributes:
        sent: whether it may have got the request.
        passing: whether it may answer soon.
    """

    def __init__(self, message: str, *, fix: str = "", sent: bool, passing: bool = True) -> None:
        super().__init__(message, fix=fix)
        self.sent = sent
        self.passing = passing


class UnavailableError(ServerError):
    """A server answers that it cannot do anything at present."""


class _Problem(msgspec.Struct, frozen=True):
    """What a server says of a refusal."""

    type: str = ""
    title: str = ""
    detail: str = ""
    fix: str = ""
    retry_after: float | None = None


def refusal(status: int, body: bytes, url: str) -> KugetsuError:
    """The error that an answer stands for.

    Args:
        status: of the answer, 300 or more.
        body: of the answer.
        url: of the server.
    """
    if status < 400:  # noqa: PLR2004 - as HTTP has it
        return ServerError(f"the server at {url} sends callers elsewhere ({status})", fix="use the address it moved to")
    try:
        problem = msgspec.json.decode(body, type=_Problem)
    except (msgspec.MsgspecError, UnicodeError):
        problem = _Problem()
    name = problem.type.removeprefix(_URN)
    message = (problem.detail or problem.title)[:_LONGEST]
    fix = problem.fix[:_LONGEST]
    if name in _FULL:
        wait = _UNKNOWN_WAIT if problem.retry_after is None else max(0.0, problem.retry_after)
        return QueueFullError(message, retry_after=wait, fix=fix or f"try again in {wait:.0f} seconds")
    if made := _ERRORS.get(name):
        return made(message, fix=fix)
    if status == _UNAUTHORISED:
        return AccessError(f"the server at {url} wants to know who calls", fix="give a token")
    said = f": {message}" if message else ""
    kind = UnavailableError if status >= 500 else ServerError  # noqa: PLR2004 - as HTTP has it
    return kind(f"the server at {url} answers with {status}{said}", fix=fix or "is it one of Kugetsu?")
