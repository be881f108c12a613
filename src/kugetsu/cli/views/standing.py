"""Where a task stands, and what comes next, for people."""

from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

from kugetsu.cli.views import amounts
from kugetsu.cli.views.text import one_line
from kugetsu.protocols import TaskDetails
from kugetsu.tasks import FINAL_STATES, OutcomeClass, TaskReport

FieldLine: TypeAlias = tuple[str, str, str]
"""Label, value and style."""

_MOST_RUNS: Final = 10

_MORE: Final[Mapping[OutcomeClass, str]] = {
    "turn_limit": "--max-turns N",
    "token_limit": "--max-tokens N",
    "money_limit": "--max-usd USD",
    "wall_time": "--max-seconds S",
}
"""How a task that was paused at a limit gets more."""


def why(report: TaskReport, now: float) -> str:
    """Why a task that is not over does not run, on one line; empty when there is nothing to say."""
    if report.state not in {"pending", "waiting", "paused"}:
        return ""
    if report.question:
        return f"asks: {one_line(report.question)}"
    parts = []
    if report.waits_for:
        parts.append(f"after {report.waits_for} other task{'s' if report.waits_for != 1 else ''}")
    if report.available_at > now:
        parts.append(f"not before {amounts.date_and_time(report.available_at)}")
    if report.outcome:
        parts.append(one_line(f"{report.outcome.kind}: {report.outcome.message}"))
    return "; ".join(parts)


def standing(task: TaskDetails, *, now: float) -> str:
    """Where a task stands and what comes next, on one line; `now` is in seconds since the epoch."""
    match task.state:
        case "pending" if task.wanted == "cancel":
            how = "a worker brings its work home" if task.served else f"`kugetsu cancel {task.id}` brings its work home"
            rest = f"is being cancelled: {how}"
        case "pending":
            rest = f"is pending: {_pending(task, now)}"
        case "running":
            rest = _running(task)
        case "waiting" if not task.question:
            rest = f"waits: {_pending(task, now)}{_because(task)}"
        case "waiting":
            rest = f"waits for an answer to: {one_line(task.question)} ({_answer(task, served=task.served)})"
        case "paused" if task.question:
            rest = f"is paused and asks: {one_line(task.question)} ({_answer(task, served=False)})"
        case "paused" if task.outcome and (flag := _MORE.get(task.outcome.kind)):
            rest = f"is paused{_because(task)}: `kugetsu resume {task.id} {flag}` lets it go on with more"
        case "paused":
            rest = f"is paused: `kugetsu resume {task.id}` lets it go on"
        case "completed":
            branch = f": its work is on {one_line(task.branch)}" if task.branch else ""
            rest = f"is completed{branch}"
        case _:
            rest = _unsuccessful(task)
    return f"task {one_line(task.id)} {rest}"


def queue_fields(task: TaskDetails, now: float) -> Iterator[FieldLine]:
    """What the queue knows of a task, beside its report."""
    yield from _waiting_for(task, now)
    if task.subject:
        yield "about", task.subject, ""
    if task.reply_to:
        yield "reply to", ", ".join(f"{name} {value}" for name, value in task.reply_to.items()), ""
    if task.priority:
        yield "priority", str(task.priority), ""
    if task.forked_from:
        yield "fork of", task.forked_from.replace(":", " after turn "), ""
    if task.key:
        yield "key", task.key, ""
    if task.attempts or task.most_attempts > 1:
        yield "attempts", f"{task.attempts} of {task.most_attempts} failed", ""
    if task.runs:
        yield "runs", "\n".join(_runs(task)), ""
    if task.worktree and task.state not in FINAL_STATES:
        yield "worktree", task.worktree, ""


def _waiting_for(task: TaskDetails, now: float) -> Iterator[FieldLine]:
    if task.available_at > now:
        yield "not before", amounts.date_and_time(task.available_at), "yellow"
    if task.question:
        yield "question", task.question, "yellow"
    if task.wanted:
        yield "wanted", f"{task.wanted}: {task.wanted_reason}", "yellow"
    if task.waits_for:
        yield "waits for", f"{amounts.counted(task.waits_for, 'task')} of {', '.join(task.after)}", ""
    if task.deadline_at and not task.runs:
        yield "deadline", amounts.date_and_time(task.deadline_at), ""


def _pending(task: TaskDetails, now: float) -> str:
    if task.waits_for:
        return f"it waits for {amounts.counted(task.waits_for, 'task')} to be completed"
    if task.available_at > now:
        what = f"it waits until {amounts.date_and_time(task.available_at)}"
    else:
        what = "it waits for its turn"
    if task.served:
        return what
    return f"{what}; no worker runs: `kugetsu resume {task.id}` goes on with it here, `kugetsu serve` with all"


def _because(task: TaskDetails) -> str:
    return f" ({task.outcome.kind}: {one_line(task.outcome.message)})" if task.outcome else ""


def _running(task: TaskDetails) -> str:
    match task.wanted:
        case "cancel":
            return "is being cancelled: its work is brought home"
        case "pause":
            return "is being paused: its agent ends its turn"
        case _:
            return f"is being worked on: `kugetsu logs -f {task.id}` shows how"


def _answer(task: TaskDetails, *, served: bool) -> str:
    then = "" if served else f", then `kugetsu resume {task.id}`"
    return f"`kugetsu answer {task.id} TEXT`{then}"


def _unsuccessful(task: TaskDetails) -> str:
    why = ""
    if task.outcome:
        kind = "" if task.outcome.kind == task.state else f"{task.outcome.kind}: "
        why = f" ({kind}{one_line(task.outcome.message)})"
    state = "has failed" if task.state == "failed" else f"is {task.state}"
    return f"{state}{why}: `kugetsu retry {task.id}` tries it again"


def _runs(task: TaskDetails) -> Iterator[str]:
    if len(task.run_history) > _MOST_RUNS:
        yield f"{task.runs} runs; the last {_MOST_RUNS}:"
    for run in task.run_history[-_MOST_RUNS:]:
        began = amounts.date_and_time(run.started_at)
        if run.ended_at is None:
            by = f" in {one_line(run.worker.name)}, process {run.worker.pid}" if run.worker else ""
            yield f"{began}  goes on{by}"
        else:
            end = one_line(f"{run.outcome.kind}: {run.outcome.message}") if run.outcome else "ended"
            yield f"{began}  {amounts.duration(run.ended_at - run.started_at)}  {end}"
