"""Tasks and their records, as tests need them."""

from typing import Any

from kugetsu.tasks import Ending, Outcome, OutcomeClass, Place, Task, TaskRecord, TaskReport, TaskState

NOW = 1_700_000_000.0

PLACE = Place(base="b" * 40, branch="kugetsu/a-b", path="/somewhere/a", details={"repository": "/somewhere/a.git"})

_KINDS: dict[TaskState, OutcomeClass] = {
    "pending": "network",
    "waiting": "question",
    "paused": "paused",
    "completed": "completed",
    "failed": "internal",
    "cancelled": "cancelled",
}


def a_task(name: str = "a", **fields: Any) -> Task:
    """A task of which only the id matters, unless said otherwise."""
    return Task(**{"id": name, "prompt": f"do {name}", "repo": "/repo", "model": "some/model", **fields})


def a_record(name: str = "a", *, task: Task | None = None, **fields: Any) -> TaskRecord:
    """The record of a task that came in just now."""
    task = task or a_task(name)
    return TaskRecord(**{"task": task, "number": 1, "report": TaskReport.of(task), "queued_at": NOW, **fields})


def an_ending(
    state: TaskState, *, kind: OutcomeClass | None = None, message: str = "so it ended", **fields: Any
) -> Ending:
    """What a run leaves its task in."""
    report = fields.pop("report", None) or TaskReport.of(a_task())
    return Ending(**{"state": state, "outcome": Outcome(kind or _KINDS[state], message), "report": report, **fields})
