"""News as people read them in a chat: what happened, and what can be done next. Two to six lines, and what the agent said."""

import re
import shlex
from datetime import UTC, datetime
from typing import Final

from kugetsu.logs import Redactor
from kugetsu.protocols import Change
from kugetsu.tasks import TaskReport

MOST_UNITS: Final = 3_500
"""Length of a message in UTF-16 units, as Telegram counts them, whose limit is 4,096."""

_LEAST_SAID: Final = 200
_TITLE: Final = 80
_LINE: Final = 300
_REASON: Final = 600
_BLOCK: Final = 4_000
_MINUTE: Final = 60
_HOUR: Final = 3_600
_DIME: Final = 0.1
_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|[^\s/:@]+@[^\s/@]+:")
_STATES: Final = {"pending": "is in the queue", "running": "runs", "waiting": "waits", "paused": "is paused"}


def text_of(change: Change, report: TaskReport, words: Redactor, *, chat: bool) -> str:
    """A message for people.

    Args:
        change: what happened.
        report: of the task.
        words: takes secrets out.
        chat: whether it goes to a chat where `/kugetsu` is understood.
    """
    head = _head(change, report, words)
    said = _said(change, report, words)
    facts = [line for line in (*_facts(change, report, words), *_next(change, report, words, chat=chat)) if line]
    room = MOST_UNITS - _units("\n".join([head, *facts])) - 2
    return "\n".join([line for line in (head, cut(said, max(room, _LEAST_SAID)), *facts) if line])


def cut(text: str, most: int) -> str:
    """The beginning of a text, at most so many UTF-16 units of it."""
    if _units(text) <= most:
        return text
    kept = text.encode("utf-16-le", "replace")[: 2 * (most - 1)].decode("utf-16-le", "ignore")
    return f"{kept.rstrip()}…"


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "replace")) // 2


def _head(change: Change, report: TaskReport, words: Redactor) -> str:
    what = (
        "has a question" if change.state == "waiting" and change.question else _STATES.get(change.state, change.state)
    )
    about = f" ({words.line(report.subject, _LINE)})" if report.subject else ""
    return f"Task {report.id}{about} {what}: {words.line(report.prompt, _TITLE)}"


def _said(change: Change, report: TaskReport, words: Redactor) -> str:
    """What the agent says, where that is what counts."""
    if change.state == "waiting" and change.question:
        return words.block(change.question.strip(), _BLOCK)
    if change.state == "completed":
        return words.block(report.summary.strip(), _BLOCK)
    if change.outcome is None:
        return ""
    return words.block(f"{change.outcome.kind}: {change.outcome.message}", _REASON)


def _facts(change: Change, report: TaskReport, words: Redactor) -> list[str]:
    if change.state in {"pending", "running", "waiting"}:
        until = change.outcome.until if change.outcome else 0.0
        return [f"It goes on by itself, about {_moment(until)}."] if until and not change.question else []
    facts = []
    if report.branch:
        commits, files = counted(len(report.commits), "commit"), counted(report.files_changed, "file")
        facts.append(f"Branch {words.line(report.branch, _LINE)}: {commits}, {files} changed{_check(report)}.")
    elif report.check:
        facts.append(f"No branch{_check(report)}.")
    if report.turns:
        facts.append(f"{_duration(report.seconds)}, {counted(report.turns, 'turn')}, {_money(report.usage.cost_usd)}.")
    return facts


def _next(change: Change, report: TaskReport, words: Redactor, *, chat: bool) -> list[str]:
    """What can be done now."""
    if change.state == "waiting" and change.question:
        here = [f"Answer in this chat: /kugetsu answer {report.id} YOUR ANSWER"] if chat else []
        return [*here, f"Answer in a shell: kugetsu answer {report.id} 'YOUR ANSWER'"]
    if change.state == "completed":
        return [_way_to_get(report, words)]
    if change.state == "paused":
        return [f"Let it go on: {_both('resume', report, chat=chat)}"]
    if change.state in {"failed", "cancelled"}:
        look = f"Look: kugetsu show {report.id}. " if change.state == "failed" else ""
        return [f"{look}Try again: {_both('retry', report, chat=chat)}"]
    return []


def _both(verb: str, report: TaskReport, *, chat: bool) -> str:
    here = f"/kugetsu {verb} {report.id}, or " if chat else ""
    return f"{here}kugetsu {verb} {report.id}"


def _way_to_get(report: TaskReport, words: Redactor) -> str:
    if not (report.branch and report.commits):
        return "Nothing was changed." if not report.branch or not report.files_changed else ""
    see = f"See it: kugetsu diff {report.id}"
    if _ADDRESS.match(report.repo):
        return see
    repo, branch = (shlex.quote(words.line(text, _LINE)) for text in (report.repo, report.branch))
    return f"{see}. Get it: git -C {repo} merge {branch}"


def _check(report: TaskReport) -> str:
    if report.check is None:
        return ""
    return {True: "; the check passed", False: "; the check FAILED", None: "; the check was not run"}[
        report.check.passed
    ]


def counted(count: int, noun: str) -> str:
    """A number and its noun: `1 commit`, `2 commits`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _duration(seconds: float) -> str:
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"


def _money(usd: float | None) -> str:
    if usd is None:
        return "cost unknown"
    return f"${usd:.4f}" if 0 < usd < _DIME else f"${usd:.2f}"


def _moment(at: float) -> str:
    try:
        return datetime.fromtimestamp(at, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return "some day"
