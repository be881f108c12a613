"""What GitHub, Gitea and Forgejo send. What happened is told by the body, which is signed; headers can only agree."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from kugetsu.errors import UsageError
from kugetsu.gateway.webhooks.checks import (
    read_action_run,
    read_check_run,
    read_check_suite,
    read_status,
    read_workflow_run,
)
from kugetsu.gateway.webhooks.issues import read_comment, read_issue, read_review, read_review_comment
from kugetsu.gateway.webhooks.payload import Payload
from kugetsu.gateway.webhooks.told import Nothing, Ping, Told, line

_EVENT_HEADERS: Final = ("x-github-event", "x-gitea-event", "x-forgejo-event", "x-gogs-event")


class _Shape(NamedTuple):
    """One kind of body.

    Attributes:
        fits: whether a body is of this kind.
        called: how headers call it.
        read: reads it.
    """

    fits: Callable[[Payload], bool]
    called: frozenset[str]
    read: Callable[[Payload], Told | Nothing | Ping]


def _ping(_payload: Payload) -> Ping:
    return Ping()


_SHAPES: Final = (
    _Shape(lambda body: body.names("zen", "hook_id"), frozenset({"ping"}), _ping),
    _Shape(lambda body: body.has("check_run"), frozenset({"check_run"}), read_check_run),
    _Shape(lambda body: body.has("check_suite"), frozenset({"check_suite"}), read_check_suite),
    _Shape(lambda body: body.has("workflow_run"), frozenset({"workflow_run"}), read_workflow_run),
    _Shape(
        lambda body: body.has("run") and body.names("prior_status"),
        frozenset({"action_run_failure", "action_run_recover", "action_run_success"}),
        read_action_run,
    ),
    _Shape(lambda body: body.names("context", "state", "sha"), frozenset({"status"}), read_status),
    _Shape(
        lambda body: body.has("comment", "issue"), frozenset({"issue_comment", "pull_request_comment"}), read_comment
    ),
    _Shape(
        lambda body: body.has("comment", "pull_request"),
        frozenset({"pull_request_review_comment"}),
        read_review_comment,
    ),
    _Shape(
        lambda body: body.has("review", "pull_request"),
        frozenset({"pull_request_review", "pull_request_approved", "pull_request_rejected", "pull_request_comment"}),
        read_review,
    ),
    _Shape(lambda body: body.has("issue"), frozenset({"issues"}), read_issue),
)


def read_forge(headers: Mapping[str, str], body: bytes) -> Told | Nothing | Ping:
    """Read what a forge sends.

    Args:
        headers: names in small letters.
        body: its signature was right.

    Raises:
        UsageError: the body cannot be read, or is not what a header calls it.
    """
    payload = Payload(body)
    shape = next((shape for shape in _SHAPES if shape.fits(payload)), None)
    if shape is None:
        return Nothing("nothing is done for such events")
    for header in _EVENT_HEADERS:
        if (called := headers.get(header, "")) and called not in shape.called:
            raise UsageError(
                f"`{header}` says {line(called, 60)!a}, but the body is that of {' or '.join(sorted(shape.called))}",
                fix="send the headers that belong to the body",
            )
    return shape.read(payload)
