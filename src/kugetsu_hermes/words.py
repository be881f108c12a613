"""What is said of tasks: short, for models and for people in a chat."""

from typing import Any, Final

from .contract import Json

LONGEST: Final = 3500
"""Characters of one message: chats take about 4,000."""

_LONGEST_LINE: Final = 200
_SECONDS: Final = 60
_FINAL: Final = ("completed", "failed", "cancelled")
_STATES: Final = {
    "pending": "in the queue",
    "running": "at work",
    "waiting": "waiting",
    "paused": "paused",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
}


def line(text: object, most: int = _LONGEST_LINE) -> str:
    """A text on one line, cut where it is too long."""
    words = " ".join(str(text or "").split())
    return words if len(words) <= most else words[: most - 1].rstrip() + "…"


def cut(text: str, most: int = LONGEST) -> str:
    """A text of several lines, cut where it is too long; says so."""
    if len(text) <= most:
        return text
    return f"{text[:most].rstrip()}\n… ({len(text) - most:,} more characters)"


def state(task: Json) -> str:
    """Where a task stands, in a word or two."""
    if task.get("state") == "waiting" and task.get("question"):
        return "waiting for an answer"
    return _STATES.get(str(task.get("state")), str(task.get("state")))


def row(task: Json) -> str:
    """A task on one line."""
    about = f" [{task['subject']}]" if task.get("subject") else ""
    asks = f" - asks: {line(task['question'], 120)}" if task.get("question") else ""
    return f"{task.get('id')}: {state(task)}{about} - {line(task.get('prompt'), 80)}{asks}"


def listing(tasks: list[Json]) -> str:
    """Several tasks, one on each line."""
    return "\n".join(row(task) for task in tasks) if tasks else "There are no tasks."


def accepted(task: Json, *, created: bool, told: bool) -> str:
    """What is said of a task that was submitted.

    Args:
        task: which.
        created: whether it is new.
        told: whether news of it come to where it was asked for.
    """
    if not created:
        return f"This very request was made before; it is task {task.get('id')}, now {state(task)}. No second one was started."
    news = (
        "The result, and any question, will be posted in this chat by itself: do not wait for it."
        if told
        else "Nobody is told when it is done: look with kugetsu_status, then kugetsu_result."
    )
    waits = task.get("state") == "pending" and not task.get("served", True)
    served = " No worker runs now: it starts once `kugetsu serve` does." if waits else ""
    return f"Task {task.get('id')} is accepted ({state(task)}).{served} {news}"


def details(task: Json) -> str:
    """What is known of a task, without its result."""
    lines = [f"Task {task.get('id')}: {state(task)}", f"Asked: {line(task.get('prompt'))}"]
    if question := task.get("question"):
        lines += [
            f"It asks: {cut(str(question), 1000)}",
            "Answer with kugetsu_control (action answer) or /kugetsu answer",
        ]
    elif outcome := task.get("outcome"):
        lines.append(f"Outcome: {outcome.get('class')}: {line(outcome.get('message'))}")
    if task.get("repo"):
        lines.append(f"Repository: {task['repo']}" + (f", branch {task['branch']}" if task.get("branch") else ""))
    if task.get("turns"):
        lines.append(f"So far: {task['turns']} turns, {task.get('tool_calls', 0)} tool calls, {_span(task)}")
    lines += [f"Waits for {task['waits_for']} other tasks"] if task.get("waits_for") else []
    lines += [f"Wanted: {task['wanted']}"] if task.get("wanted") else []
    return "\n".join(lines)


def result(task: Json, diff: str = "") -> str:
    """What came out of a task."""
    if task.get("state") not in _FINAL:
        return f"{details(task)}\nIt is not over: there is no result yet."
    lines = [f"Task {task.get('id')}: {state(task)}"]
    if outcome := task.get("outcome"):
        lines.append(f"Outcome: {outcome.get('class')}: {line(outcome.get('message'))}")
    lines += [cut(str(task["summary"]), 2000)] if task.get("summary") else []
    lines += _work(task)
    lines += [f"Note: {line(note)}" for note in task.get("notes", [])[:5]]
    return "\n".join(lines) + (f"\n\n{diff}" if diff else "")


def _work(task: Json) -> list[str]:
    commits = task.get("commits") or []
    if not (task.get("files_changed") or commits or task.get("uncommitted")):
        return ["It changed nothing."]
    size = f"{task.get('files_changed', 0)} files, +{task.get('insertions', 0)} -{task.get('deletions', 0)}"
    lines = [f"Branch {task.get('branch')}: {len(commits)} commits, {size}"]
    lines += [f"  {str(commit.get('sha', ''))[:10]} {line(commit.get('subject'), 100)}" for commit in commits[:10]]
    if check := task.get("check"):
        lines.append(_check(check))
    return [*lines, f"Took {_span(task)}, {_usd(task)}"]


def _check(check: Json) -> str:
    match check.get("passed"):
        case True:
            return f"Check passed: {line(check.get('command'), 100)}"
        case False:
            return (
                f"Check FAILED: {line(check.get('command'), 100)}\n{cut(str(check.get('output_tail', ''))[-800:], 800)}"
            )
        case _:
            return "Check was not run"


def _span(task: Json) -> str:
    seconds = float(task.get("seconds") or 0)
    return f"{seconds:.0f} s" if seconds < 2 * _SECONDS else f"{seconds / _SECONDS:.0f} min"


def _usd(task: Json) -> str:
    usage: dict[str, Any] = task.get("usage") or {}
    usd = usage.get("cost_usd")
    return f"{usd:.2f} USD" if isinstance(usd, int | float) else "at an unknown price"
