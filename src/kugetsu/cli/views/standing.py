"""Where a task stands, and what comes next, for people."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from kugetsu.cli.views import amounts
from kugetsu.cli.views.text import one_line
from kugetsu.protocols import WorkerInfo
from kugetsu.tasks import OutcomeClass, Run, TaskRecord, TaskReport

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


def standing(record: TaskRecord, *, served: bool, now: float) -> str:
    """Where a task stands and what comes next, on one line.

    Args:
        record: the task.
        served: whether a worker lives that takes tasks from the queue.
        now: seconds since the epoch.
    """
    match record.state:
        case "pending" if record.wanted == "cancel":
            how = "a worker brings its work home" if served else f"`kugetsu cancel {record.id}` brings its work home"
            rest = f"is being cancelled: {how}"
        case "pending":
            rest = f"is pending: {_pending(record, served=served, now=now)}"
        case "running":
            rest = _running(record)
        case "waiting" if not record.question:
            rest = f"waits: {_pending(record, served=served, now=now)}{_because(record)}"
        case "waiting":
            rest = f"waits for an answer to: {one_line(record.question)} ({_answer(record, served=served)})"
        case "paused" if record.question:
            rest = f"is paused and asks: {one_line(record.question)} ({_answer(record, served=False)})"
        case "paused" if record.outcome and (flag := _MORE.get(record.outcome.kind)):
            rest = f"is paused{_because(record)}: `kugetsu resume {record.id} {flag}` lets it go on with more"
        case "paused":
            rest = f"is paused: `kugetsu resume {record.id}` lets it go on"
        case "completed":
            branch = f": its work is on {one_line(record.report.branch)}" if record.report.branch else ""
            rest = f"is completed{branch}"
        case _:
            rest = _unsuccessful(record)
    return f"task {one_line(record.id)} {rest}"


def record_fields(
    record: TaskRecord, runs: Sequence[Run], workers: Mapping[str, WorkerInfo], now: float
) -> Iterator[FieldLine]:
    """What the queue knows of a task, beside its report."""
    yield from _waiting_for(record, now)
    if record.priority:
        yield "priority", str(record.priority), ""
    if record.task.forked_from:
        yield "fork of", record.task.forked_from.replace(":", " after turn "), ""
    if record.key:
        yield "key", record.key, ""
    if record.attempts or record.task.attempts > 1:
        yield "attempts", f"{record.attempts} of {record.task.attempts} failed", ""
    if record.runs:
        yield "runs", "\n".join(_runs(record, runs, workers)), ""
    if record.place and not record.final:
        yield "worktree", record.place.path, ""


def _waiting_for(record: TaskRecord, now: float) -> Iterator[FieldLine]:
    if record.available_at > now:
        yield "not before", amounts.date_and_time(record.available_at), "yellow"
    if record.question:
        yield "question", record.question, "yellow"
    if record.wanted:
        yield "wanted", f"{record.wanted}: {record.reason}", "yellow"
    if record.blockers:
        yield "waits for", f"{amounts.counted(record.blockers, 'task')} of {', '.join(record.task.after)}", ""
    if record.task.deadline_at and not record.runs:
        yield "deadline", amounts.date_and_time(record.task.deadline_at), ""


def _pending(record: TaskRecord, *, served: bool, now: float) -> str:
    if record.blockers:
        return f"it waits for {amounts.counted(record.blockers, 'task')} to be completed"
    if record.available_at > now:
        what = f"it waits until {amounts.date_and_time(record.available_at)}"
    else:
        what = "it waits for its turn"
    if served:
        return what
    return f"{what}; no worker runs: `kugetsu resume {record.id}` goes on with it here, `kugetsu serve` with all"


def _because(record: TaskRecord) -> str:
    return f" ({record.outcome.kind}: {one_line(record.outcome.message)})" if record.outcome else ""


def _running(record: TaskRecord) -> str:
    match record.wanted:
        case "cancel":
            return "is being cancelled: its work is brought home"
        case "pause":
            return "is being paused: its agent ends its turn"
        case _:
            return f"is being worked on: `kugetsu logs -f {record.id}` shows how"


def _answer(record: TaskRecord, *, served: bool) -> str:
    then = "" if served else f", then `kugetsu resume {record.id}`"
    return f"`kugetsu answer {record.id} TEXT`{then}"


def _unsuccessful(record: TaskRecord) -> str:
    why = ""
    if record.outcome:
        kind = "" if record.outcome.kind == record.state else f"{record.outcome.kind}: "
        why = f" ({kind}{one_line(record.outcome.message)})"
    state = "has failed" if record.state == "failed" else f"is {record.state}"
    return f"{state}{why}: `kugetsu retry {record.id}` tries it again"


def _runs(record: TaskRecord, runs: Sequence[Run], workers: Mapping[str, WorkerInfo]) -> Iterator[str]:
    if len(runs) > _MOST_RUNS:
        yield f"{record.runs} runs; the last {_MOST_RUNS}:"
    for run in runs[-_MOST_RUNS:]:
        began = amounts.date_and_time(run.started_at)
        if run.ended_at is None:
            info = workers.get(run.worker)
            yield f"{began}  goes on" + (f" in {one_line(info.name)}, process {info.pid}" if info else "")
        else:
            end = one_line(f"{run.outcome.kind}: {run.outcome.message}") if run.outcome else "ended"
            yield f"{began}  {amounts.duration(run.ended_at - run.started_at)}  {end}"
