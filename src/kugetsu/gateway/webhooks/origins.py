"""Where something that a forge tells comes from, and the small parts of it: cleaned, bounded, never an error."""

import re
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from kugetsu.config import HookEvent
from kugetsu.gateway.webhooks.payload import Payload
from kugetsu.gateway.webhooks.shapes import Issue, Repository, User
from kugetsu.gateway.webhooks.told import Told, line

LONGEST_NAME: Final = 100
"""Characters of an account's name."""

_LONGEST_URL: Final = 1_000
_REPOSITORY: Final = re.compile(r"[\w.-]{1,100}(?:/[\w.-]{1,100}){1,5}", re.ASCII)
_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_BRANCH: Final = re.compile(r"(?![-/.])(?!.*(?:\.\.|//|@\{|/\.))[^\s~^:?*\[\\\x00-\x1f\x7f]{1,250}(?<![/.])")
"""What git allows as a branch's name, or less; see `git check-ref-format`."""


def told_by(event: HookEvent, repository: Repository, sender: User) -> Told:
    """Something that somebody did in a repository."""
    actor = line(sender.name, LONGEST_NAME)
    return Told(
        event=event,
        repository=repository_name(repository.full_name),
        origin=_origin(repository.html_url),
        actor=actor,
        automatic=sender.type == "Bot" or actor.endswith("[bot]"),
    )


def repository_name(name: str) -> str:
    """`owner/repo`; empty when it cannot be one."""
    parts = name.split("/")
    fits = _REPOSITORY.fullmatch(name) and not any(part in {".", ".."} or part.startswith("-") for part in parts)
    return name if fits else ""


def branch_name(name: str | None) -> str:
    """A branch that work may start from; empty when it cannot be one."""
    name = (name or "").removeprefix("refs/heads/")
    return name if name.isprintable() and _BRANCH.fullmatch(name) else ""


def commit_id(name: str | None) -> str:
    """A full commit id; empty for anything else."""
    return name if name and _COMMIT.fullmatch(name) else ""


def own_branch(issue: Issue, payload: Payload) -> str:
    """The branch of a pull request, when it is one of the repository itself."""
    if issue.head is None or issue.head.repo is None:
        return ""
    return branch_name(issue.head.ref) if issue.head.repo.full_name == payload.repository().full_name else ""


def link(text: str | None) -> str:
    """An address of the web, for people; empty for anything else. Nothing is ever fetched from it."""
    url = line(text, _LONGEST_URL)
    return url if url.startswith(("https://", "http://")) and " " not in url else ""


def moment(text: str | None) -> float:
    """Seconds since the epoch; 0 when it is no time."""
    try:
        said = datetime.fromisoformat(text or "")
        return (said if said.tzinfo else said.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _origin(url: str | None) -> str:
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return ""
    return parts.netloc.lower() if parts.scheme in {"http", "https"} else ""
