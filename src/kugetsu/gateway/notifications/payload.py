"""The body of outgoing news: flat, so that templates can name every field; bounded, and without secrets."""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from kugetsu.gateway.notifications.wording import text_of
from kugetsu.logs import Redactor
from kugetsu.messages import encode_json
from kugetsu.protocols import Change
from kugetsu.tasks import Task, TaskReport, redacted

_ALWAYS: Final = ("platform", "chat_id", "thread_id")
"""Names of `reply_to` that are there even when they are not known: a template leaves a missing one as it is."""

_LINE: Final = 500
_REASON: Final = 2_000
_BLOCK: Final = 4_000
_PROMPT: Final = 2_000
_CHECKS: Final = {True: "passed", False: "failed", None: ""}


class Payload(msgspec.Struct, frozen=True, kw_only=True, rename={"kind": "class"}):
    """What is sent, beside the delivery's own id.

    Attributes:
        event_type: `task.STATE`, or `task.question` for a task that waits for an answer.
        created_at: when it happened, ISO 8601.
        kind: class of the outcome, empty for none; `class` in the JSON.
        message: of the outcome.
        summary: the agent's last words; the outcome's message when there are none.
        commits: how many.
        check: `passed`, `failed`, or empty when there is none or it was not run.
        usd: None when a price is unknown.
        seconds: wall time of all runs together.
        text: the whole, ready for people.
        reply_to: the task's, with some names that are always there.
    """

    event_type: str
    created_at: str
    id: str
    state: str
    kind: str
    message: str
    question: str
    summary: str
    prompt: str
    repo: str
    branch: str
    subject: str
    commits: int
    files_changed: int
    check: str
    usd: float | None
    seconds: float
    text: str
    reply_to: dict[str, str]


def event_of(change: Change) -> str:
    """What a change is called: `task.completed`, `task.question`."""
    return "task.question" if change.state == "waiting" and change.question else f"task.{change.state}"


def payload_of(change: Change, task: Task | None, report: TaskReport | None, words: Redactor) -> str:
    """The body of the news of a change, as JSON. Takes time in proportion to what is kept of the texts.

    Args:
        change: what happened.
        task: whose; None for one that cannot be read.
        report: what is known of it; None as above.
        words: takes secrets out.
    """
    report = report or TaskReport(id=change.task, state=change.state, prompt="", model="", repo="")
    outcome = change.outcome
    message = words.block(outcome.message, _REASON) if outcome else ""
    reply_to = {**dict.fromkeys(_ALWAYS, ""), **(task.reply_to if task else {})}
    return encode_json(
        Payload(
            event_type=event_of(change),
            created_at=_iso(change.at),
            id=change.task,
            state=change.state,
            kind=outcome.kind if outcome else "",
            message=message,
            question=words.block(change.question, _BLOCK),
            summary=words.block(report.summary, _BLOCK) or message,
            prompt=words.block(report.prompt, _PROMPT),
            repo=words.line(redacted(report.repo), _LINE),
            branch=words.line(report.branch, _LINE),
            subject=report.subject,
            commits=len(report.commits),
            files_changed=report.files_changed,
            check=_CHECKS[report.check.passed] if report.check else "",
            usd=report.usage.cost_usd,
            seconds=round(report.seconds, 3),
            text=text_of(change, report, words, chat=bool(reply_to["platform"])),
            reply_to=reply_to,
        )
    ).decode()


def with_delivery(payload: str, delivery: str) -> bytes:
    """The body as it is sent: with the id of its delivery."""
    return encode_json({**read_payload(payload), "delivery": delivery})


def read_payload(payload: str) -> dict[str, Any]:
    """What stands in a stored body; nothing for one that is damaged."""
    try:
        found = msgspec.json.decode(payload)
    except (msgspec.MsgspecError, UnicodeError):
        return {}
    return found if isinstance(found, dict) else {}


def reply_to_of(payload: str) -> dict[str, str]:
    """Where the answer to a task goes, from a stored body."""
    found = read_payload(payload).get("reply_to")
    return {name: value for name, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}


def _iso(at: float) -> str:
    try:
        return datetime.fromtimestamp(at, tz=UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return ""
