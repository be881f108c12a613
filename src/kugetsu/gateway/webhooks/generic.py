"""What a generic source sends: a task, as small as it gets. What it may ask for is up to the rules."""

from typing import Final

import msgspec

from kugetsu.errors import UsageError
from kugetsu.gateway.webhooks.origins import LONGEST_NAME
from kugetsu.gateway.webhooks.payload import decoded
from kugetsu.gateway.webhooks.told import Told, block, line
from kugetsu.tasks import MOST_PRIORITY, parse_subject, require_reply_to

_LONGEST_KEY: Final = 200
_LONGEST_PLACE: Final = 1_000


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    """What may be sent.

    Attributes:
        prompt: the job.
        repo: path or URL; only one that a rule's `repositories` name.
        subject: `host/owner/repo#number`, or the URL of an issue.
        key: the sender's own name for it: sent twice, it is one task.
        priority: at most that of the rule.
        author: who wants it.
        reply_to: who hears what becomes of it; beside what the rule says.
    """

    prompt: str
    repo: str = ""
    subject: str = ""
    key: str = ""
    priority: int = 0
    author: str = ""
    reply_to: dict[str, str] = {}


def read_generic(body: bytes) -> Told:
    """Read it.

    Raises:
        UsageError: it cannot be read, or something in it cannot be so.
    """
    asked = decoded(body, _Body, "the body")
    if not asked.prompt.strip():
        raise UsageError("`prompt` is empty", fix="say what is to be done")
    if asked.subject and parse_subject(asked.subject) is None:
        raise UsageError("`subject` names no issue", fix="write host/owner/repo#number, or its URL")
    for field, most in (("repo", _LONGEST_PLACE), ("key", _LONGEST_KEY)):
        text = getattr(asked, field)
        if len(text) > most or not text.isprintable():
            raise UsageError(f"`{field}` must be one line of at most {most:,} printable characters")
    if abs(asked.priority) > MOST_PRIORITY:
        raise UsageError(f"`priority` must be from -{MOST_PRIORITY} to {MOST_PRIORITY}")
    try:
        require_reply_to(asked.reply_to)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return Told(
        event="task",
        text=block(asked.prompt),
        subject=asked.subject,
        repo=asked.repo,
        key=asked.key,
        priority=asked.priority,
        actor=line(asked.author, LONGEST_NAME),
        reply_to=asked.reply_to,
    )
