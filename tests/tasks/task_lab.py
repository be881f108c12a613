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


def running(**fields: Any) -> TaskRecord:
    return a_record(**{"state": "running", "worker": "w", "generation": 4, "runs": 2, "place": PLACE, **fields})


# What a situation of the table looks like as a record; a reason of "answered" marks that an answer waits.
RECORDS: dict[str, TaskRecord] = {
    "fresh": a_record(),
    "delayed": a_record(available_at=NOW + 60),
    "blocked": a_record(blockers=2),
    "begun": a_record(place=PLACE, runs=1, generation=2),
    "answered": a_record(place=PLACE, runs=1, generation=2, reason="answered"),
    "cancelling": a_record(place=PLACE, runs=1, wanted="cancel"),
    "running": running(),
    "pausing": running(wanted="pause"),
    "aborting": running(wanted="cancel"),
    "asking": a_record(state="waiting", place=PLACE, runs=1, question="which?"),
    "resting": a_record(state="waiting", place=PLACE, runs=1),
    "paused": a_record(state="paused"),
    "halted": a_record(state="paused", place=PLACE, runs=1),
    "paused_asking": a_record(state="paused", place=PLACE, runs=1, question="which?"),
    "paused_answered": a_record(state="paused", place=PLACE, runs=1, reason="answered"),
    "completed": a_record(state="completed", place=PLACE, runs=1),
    "failed": a_record(state="failed", place=PLACE, runs=1),
    "cancelled": a_record(state="cancelled"),
}
