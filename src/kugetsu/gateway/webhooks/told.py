"""What somebody tells us, whichever way it was said: pure data, cleaned and bounded."""

import re
from typing import Final

import msgspec

from kugetsu.config import HookEvent
from kugetsu.logs.text import joined, plain

LONGEST_LINE: Final = 300
"""Characters of a title or a name."""

LONGEST_BLOCK: Final = 20_000
"""Characters of what somebody wrote."""

LONGEST_EXCERPT: Final = 4_000
"""Characters of what a check printed, or of lines that a comment is on."""

MARKER: Final = "<!-- kugetsu"
"""Begins the hidden mark in what agents write where a source can see it: what holds it starts nothing."""

_UNSEEN: Final = re.compile(r"<!--(?:(?!-->).)*+(?:-->)?", re.DOTALL)


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """Something that may start a task, or is a command for one. Its texts are cleaned; nobody vouches for what they say.

    Attributes:
        event: what happened.
        repository: `owner/repo`, as it is written there.
        origin: the host in the repository's address; empty when there is none.
        number: of the issue or pull request; 0 when it is about none.
        pull: whether it is a pull request.
        title, body: of the issue or pull request.
        url: of what happened, for people.
        author: who wrote the body.
        actor: who did it: opened, labelled, commented, pushed.
        automatic: whether the actor is a program.
        ours: whether what was opened or said carries the mark of what agents write, see `MARKER`.
        labels: of the issue.
        added: of these, the ones that were added just now; None when the source does not say.
        text: what was said: a comment as a whole, or the prompt of a generic source.
        path: the file that a review comment is on.
        excerpt: the lines that it is on; what a check printed.
        check: name of the check that failed.
        branch: where work on it starts, when that is known.
        commit: the commit that was checked.
        said_at: when a comment was written; seconds since the epoch, 0 when the source does not say.
        subject: what a generic source says it is about.
        repo: where a generic source wants it done.
        key: a generic source's own name for it.
        priority: what a generic source asks for.
        reply_to: who a generic source wants to hear of it.
    """

    event: HookEvent
    repository: str = ""
    origin: str = ""
    number: int = 0
    pull: bool = False
    title: str = ""
    body: str = ""
    url: str = ""
    author: str = ""
    actor: str = ""
    automatic: bool = False
    ours: bool = False
    labels: tuple[str, ...] = ()
    added: tuple[str, ...] | None = None
    text: str = ""
    path: str = ""
    excerpt: str = ""
    check: str = ""
    branch: str = ""
    commit: str = ""
    said_at: float = 0.0
    subject: str = ""
    repo: str = ""
    key: str = ""
    priority: int = 0
    reply_to: dict[str, str] = {}


class Nothing(msgspec.Struct, frozen=True):
    """Something that is none of our business.

    Attributes:
        why: in a few words.
    """

    why: str


class Ping(msgspec.Struct, frozen=True):
    """A source that wants to know whether we hear it."""


def line(text: str | None, most: int = LONGEST_LINE) -> str:
    """A text of somebody else on one line: no control characters, no hidden ones, not above so many characters."""
    cleaned = joined(plain((text or "")[: 4 * most]))
    return cleaned if len(cleaned) <= most else f"{cleaned[: most - 1]}…"


def block(text: str | None, most: int = LONGEST_BLOCK) -> str:
    """A text of somebody else with its lines: as `line`; what is left out at the end is counted."""
    text = text or ""
    cleaned = plain(text[:most]).strip()
    return cleaned if len(text) <= most else f"{cleaned}\n[{len(text) - most:,} more characters are left out]"


def page(text: str | None) -> str:
    """A text of somebody else as people see it on a page: as `block`, without comments of HTML, which only a model would read."""
    return block(_UNSEEN.sub(_left_out, text or ""))


def _left_out(found: re.Match[str]) -> str:
    return f"[a hidden comment of {len(found[0]):,} characters is left out]"
