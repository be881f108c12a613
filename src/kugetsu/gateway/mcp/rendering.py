"""Answers in words: short, and saying what to do next."""

from collections.abc import Iterator

from kugetsu.gateway.mcp.answers import LogsAnswer, ResultAnswer, StatusAnswer, task_fields
from kugetsu.gateway.mcp.standing import NOBODY_WORKS
from kugetsu.gateway.mcp.texts import cut, one_line
from kugetsu.protocols import TaskDetails

_SUMMARY = 600


def task_text(task: TaskDetails, head: str = "Task") -> str:
    """A task as it stands, and what to do next."""
    fields = task_fields(task)
    return "\n".join([f"{head} {task.id} ({task.state}): {one_line(task.prompt)}", *_facts(task), str(fields["next"])])


def result_text(task: TaskDetails, answer: ResultAnswer) -> str:
    """What became of a task, with its diff."""
    lines = [f"Task {task.id} ({task.state}): {one_line(task.prompt)}", *_facts(task, whole=True)]
    lines += [f"note: {note}" for note in answer.notes]
    lines.append(answer.next)
    if answer.diff:
        lines += ["", answer.diff]
    if left := answer.diff_size - len(answer.diff):
        lines.append(
            f"[... {left:,} more characters of the diff; raise `diff_characters`, or read kugetsu://tasks/{task.id}/diff]"
        )
    return "\n".join(lines)


def list_text(answer: StatusAnswer) -> str:
    """How all tasks stand."""
    counts = ", ".join(f"{number} {state}" for state, number in answer.counts.items())
    lines = [f"Tasks: {counts or 'none yet'}."]
    for task in answer.tasks:
        about = f" ({task.subject})" if task.subject else ""
        lines.append(f"{task.id} {task.state}{about}: {task.prompt}")
        if task.question:
            lines.append(f"  asks: {one_line(task.question)}")
    if answer.older:
        lines.append(f"There are older ones: before={answer.older}.")
    if not answer.served:
        lines.append(NOBODY_WORKS)
    return "\n".join(lines)


def log_text(answer: LogsAnswer) -> str:
    """What happened last in a task."""
    lines = [f"Task {answer.id} ({answer.state})"]
    if answer.earlier:
        lines.append(f"[{answer.earlier} earlier events]")
    return "\n".join([*lines, *answer.events, answer.next])


def _facts(task: TaskDetails, *, whole: bool = False) -> Iterator[str]:
    fields = task_fields(task)
    if task.question:
        yield f"question: {task.question}"
    if task.outcome and task.state not in {"completed", "running"}:
        yield f"why: {fields['outcome']}: {fields['reason']}"
    if task.summary:
        yield f"summary: {fields['summary'] if whole else cut(task.summary, _SUMMARY)}"
    if task.branch:
        yield f"branch: {task.branch}{_changes(task)}"
    if whole:
        yield from (f"commit: {commit.sha[:10]} {commit.subject}" for commit in fields["commits"])
    if fields["check"]:
        yield f"check: {fields['check']}" + (f"\n{fields['check_output']}" if whole and fields["check_output"] else "")
    if task.turns:
        yield f"so far: {task.turns} turns, {task.seconds:.0f} s, ${fields['usd']:.2f}"


def _changes(task: TaskDetails) -> str:
    if not task.commits and not task.uncommitted:
        return ""
    loose = ", some of it uncommitted" if task.uncommitted else ""
    count = "1 commit" if len(task.commits) == 1 else f"{len(task.commits)} commits"
    return f" ({count}, {task.files_changed} files changed, +{task.insertions} -{task.deletions}{loose})"
