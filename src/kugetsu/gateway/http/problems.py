"""Errors as clients see them: problem details (RFC 9457), one table for all."""

import math
from typing import Final, Literal, NamedTuple, get_args

import msgspec

from kugetsu.errors import (
    AccessError,
    ConfigError,
    KugetsuError,
    QueueFullError,
    RecordError,
    RepositoryError,
    StateConflictError,
    TaskNotFoundError,
    UsageError,
    WorkspaceError,
)

ProblemName = Literal[
    "bad-request",
    "unauthorised",
    "forbidden",
    "not-found",
    "method",
    "timeout",
    "conflict",
    "too-large",
    "media-type",
    "usage",
    "config",
    "repository",
    "queue-full",
    "rate-limited",
    "internal",
    "workspace",
    "store",
    "stopping",
]
"""What can go wrong; the end of a problem's `type`."""

PROBLEM_NAMES: Final[tuple[ProblemName, ...]] = get_args(ProblemName)

MEDIA: Final = "application/problem+json"

_KINDS: Final[dict[ProblemName, tuple[int, str]]] = {
    "bad-request": (400, "The request cannot be read"),
    "unauthorised": (401, "A token is needed"),
    "forbidden": (403, "This is not allowed"),
    "not-found": (404, "There is no such thing"),
    "method": (405, "This cannot be done here"),
    "timeout": (408, "The request came too slowly"),
    "conflict": (409, "This makes no sense as things stand"),
    "too-large": (413, "The request is too large"),
    "media-type": (415, "The body is of the wrong kind"),
    "usage": (422, "What is asked for cannot be so"),
    "config": (422, "The settings do not allow it"),
    "repository": (422, "The repository cannot be used"),
    "queue-full": (429, "The queue is full"),
    "rate-limited": (429, "Too many requests"),
    "internal": (500, "The server failed"),
    "workspace": (502, "The workspace cannot be used"),
    "store": (503, "What is kept cannot be used"),
    "stopping": (503, "The server is stopping"),
}

_OF_ERRORS: Final[tuple[tuple[type[KugetsuError], ProblemName], ...]] = (
    (TaskNotFoundError, "not-found"),
    (StateConflictError, "conflict"),
    (AccessError, "unauthorised"),
    (RepositoryError, "repository"),
    (ConfigError, "config"),
    (UsageError, "usage"),
    (QueueFullError, "queue-full"),
    (WorkspaceError, "workspace"),
    (RecordError, "store"),
)
"""The first that fits counts: those of a family stand before its head."""


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong with a request (RFC 9457).

    Attributes:
        type: `urn:kugetsu:problem:` and a name, for programs.
        title: the name in words.
        status: of the answer.
        detail: what it was this time.
        fix: what to do next; empty when nobody knows.
        retry_after: seconds after which another try is worth it; None when that is not known.
    """

    type: str
    title: str
    status: int
    detail: str
    fix: str = ""
    retry_after: float | None = None


class Header(NamedTuple):
    """One header of an answer, in bytes as ASGI has it."""

    name: bytes
    value: bytes


class Refusal(KugetsuError):  # noqa: N818 - it is an answer, and reads as one where it is raised
    """A request is refused before anybody works on it.

    Attributes:
        name: which problem it is.
        retry_after: seconds after which another try is worth it; None when that is not known.
        headers: of the answer.
    """

    def __init__(
        self,
        name: ProblemName,
        message: str,
        *,
        fix: str = "",
        retry_after: float | None = None,
        headers: tuple[Header, ...] = (),
    ) -> None:
        super().__init__(message, fix=fix)
        self.name: ProblemName = name
        self.retry_after = retry_after
        self.headers = headers


def status_of(name: ProblemName) -> int:
    """The status of answers that tell of a problem."""
    return _KINDS[name][0]


def is_foreseen(error: Exception) -> bool:
    """Whether an error is one that clients are told of in its own words."""
    return isinstance(error, Refusal) or any(isinstance(error, kind) for kind, _ in _OF_ERRORS)


def problem_of(error: Exception) -> tuple[Problem, tuple[Header, ...]]:
    """An error as a problem, with the headers that belong to it. What is not foreseen tells nothing of itself."""
    name, headers = _name_of(error), error.headers if isinstance(error, Refusal) else ()
    status, title = _KINDS[name]
    detail, fix, wait = "something went wrong that nobody foresaw; the log of the server says more", "", None
    if isinstance(error, KugetsuError) and name != "internal":
        detail, fix = error.message, error.fix
    if isinstance(error, Refusal | QueueFullError):
        wait = error.retry_after
    if wait is not None:
        headers = (*headers, Header(b"retry-after", b"%d" % max(1, math.ceil(wait))))
    if name == "unauthorised":
        headers = (*headers, Header(b"www-authenticate", b'Bearer realm="kugetsu"'))
    problem = Problem(
        type=f"urn:kugetsu:problem:{name}", title=title, status=status, detail=detail, fix=fix, retry_after=wait
    )
    return problem, headers


def _name_of(error: Exception) -> ProblemName:
    if isinstance(error, Refusal):
        return error.name
    return next((name for kind, name in _OF_ERRORS if isinstance(error, kind)), "internal")
