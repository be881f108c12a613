"""What the tools answer, for programs; each with the words for models beside it."""

from typing import Any, Final

import msgspec

from kugetsu.gateway.mcp.standing import next_step
from kugetsu.gateway.mcp.texts import cut, moment, one_line, tail
from kugetsu.protocols import TaskDetails
from kugetsu.tasks import CheckResult, TaskReport, TaskState

_PROMPT: Final = 300
_SUMMARY: Final = 4_000
_CHECK_TAIL: Final = 1_500
_MOST_COMMITS: Final = 20


class CommitLine(msgspec.Struct, frozen=True):
    """A commit that the task made."""

    sha: str
    subject: str


class TaskLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """A task in a list."""

    id: str
    state: TaskState
    prompt: str
    repo: str
    subject: str = ""
    question: str = ""

    @classmethod
    def of(cls, report: TaskReport) -> "TaskLine":
        """A task on one line."""
        return cls(
            report.id, report.state, one_line(report.prompt), report.repo, report.subject, cut(report.question, _PROMPT)
        )


class TaskAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task, as it is now. What is empty or 0 is left out. Times are ISO 8601, in UTC.

    Attributes:
        next: what can be done next.
    """

    id: str
    state: TaskState
    next: str
    prompt: str = ""
    repo: str = ""
    model: str = ""
    subject: str = ""
    branch: str = ""
    question: str = ""
    outcome: str = ""
    reason: str = ""
    summary: str = ""
    commits: tuple[CommitLine, ...] = ()
    commit_count: int = 0
    files_changed: int = 0
    insertions: int = 0
    deletions: int = 0
    uncommitted: bool = False
    check: str = ""
    check_output: str = ""
    notes: tuple[str, ...] = ()
    turns: int = 0
    usd: float = 0.0
    seconds: float = 0.0
    priority: int = 0
    waits_for: int = 0
    created_at: str = ""
    starts_at: str = ""


class SubmitAnswer(TaskAnswer, frozen=True, kw_only=True, omit_defaults=True):
    """The task that was accepted.

    Attributes:
        known: the key was used before, and this is that task.
    """

    known: bool = False


class ResultAnswer(TaskAnswer, frozen=True, kw_only=True, omit_defaults=True):
    """A task and what it changed.

    Attributes:
        diff: a patch, from its beginning.
        diff_size: characters of the whole diff.
    """

    diff: str = ""
    diff_size: int = 0


class StatusAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One task, or how all stand.

    Attributes:
        next: what can be done next.
        task: the one that was named.
        counts: how many tasks are in each state.
        served: whether a server works on the queue.
        tasks: the newest first.
        older: give it as `before` for more; left out when there are none.
    """

    next: str
    task: TaskAnswer | msgspec.UnsetType = msgspec.UNSET
    counts: dict[str, int] = {}
    served: bool = False
    tasks: tuple[TaskLine, ...] = ()
    older: int = 0


class LogsAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happened last in a task.

    Attributes:
        next: what can be done next.
        events: oldest first, each with its time in UTC.
        earlier: how many events came before these.
    """

    id: str
    state: TaskState
    next: str
    events: tuple[str, ...] = ()
    earlier: int = 0


def task_fields(details: TaskDetails) -> dict[str, Any]:
    """What a `TaskAnswer` shows of a task."""
    outcome = details.outcome
    return {
        "id": details.id,
        "state": details.state,
        "next": next_step(details),
        "prompt": cut(details.prompt, _PROMPT),
        "repo": details.repo,
        "model": details.model,
        "subject": details.subject,
        "branch": details.branch,
        "question": details.question,
        "outcome": outcome.kind if outcome else "",
        "reason": cut(outcome.message, _PROMPT) if outcome else "",
        "summary": cut(details.summary, _SUMMARY),
        "commits": tuple(CommitLine(one.sha, cut(one.subject, _PROMPT)) for one in details.commits[-_MOST_COMMITS:]),
        "commit_count": len(details.commits),
        "files_changed": details.files_changed,
        "insertions": details.insertions,
        "deletions": details.deletions,
        "uncommitted": details.uncommitted,
        "check": _verdict(details.check),
        "check_output": tail(details.check.output_tail, _CHECK_TAIL)
        if details.check and not details.check.passed
        else "",
        "notes": details.notes,
        "turns": details.turns,
        "usd": round(details.usage.cost_usd or 0.0, 4),
        "seconds": round(details.seconds, 1),
        "priority": details.priority,
        "waits_for": details.waits_for,
        "created_at": moment(details.created_at),
        "starts_at": moment(details.available_at),
    }


def _verdict(check: CheckResult | None) -> str:
    if check is None:
        return ""
    return {True: "passed", False: "failed", None: "not run"}[check.passed]
