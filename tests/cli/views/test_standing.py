from typing import Any

import msgspec
import pytest

from kugetsu.cli.views.standing import record_fields, standing, why
from kugetsu.protocols import WorkerInfo
from kugetsu.tasks import Outcome, Place, Run, Task, TaskRecord, TaskReport

NOW = 1_767_225_600.0
TASK = Task(id="k3f9", prompt="p", repo="r", model="m")
NO_WORKER = "no worker runs: `kugetsu resume k3f9` goes on with it here, `kugetsu serve` with all"
PLACE = Place(base="a", branch="b", path="/w")


def record(**fields: Any) -> TaskRecord:
    return msgspec.structs.replace(TaskRecord(task=TASK, number=1, report=TaskReport.of(TASK)), **fields)


@pytest.mark.parametrize(
    ("there", "served", "alone"),
    [
        (
            record(),
            "is pending: it waits for its turn",
            f"is pending: it waits for its turn; {NO_WORKER}",
        ),
        (
            record(available_at=NOW + 60),
            "is pending: it waits until 2026-01-01 00:01:00",
            f"is pending: it waits until 2026-01-01 00:01:00; {NO_WORKER}",
        ),
        (record(blockers=2), *["is pending: it waits for 2 tasks to be completed"] * 2),
        (
            record(wanted="cancel", place=PLACE),
            "is being cancelled: a worker brings its work home",
            "is being cancelled: `kugetsu cancel k3f9` brings its work home",
        ),
        (record(state="running"), *["is being worked on: `kugetsu logs -f k3f9` shows how"] * 2),
        (record(state="running", wanted="pause"), *["is being paused: its agent ends its turn"] * 2),
        (record(state="running", wanted="cancel"), *["is being cancelled: its work is brought home"] * 2),
        (
            record(state="waiting", question="Which\none?\x1b[2J"),
            "waits for an answer to: Which one? (`kugetsu answer k3f9 TEXT`)",
            "waits for an answer to: Which one? (`kugetsu answer k3f9 TEXT`, then `kugetsu resume k3f9`)",
        ),
        (record(state="paused"), *["is paused: `kugetsu resume k3f9` lets it go on"] * 2),
        (
            record(state="paused", question="Which?"),
            *["is paused and asks: Which? (`kugetsu answer k3f9 TEXT`, then `kugetsu resume k3f9`)"] * 2,
        ),
        (record(state="completed"), *["is completed"] * 2),
        (
            record(state="failed", outcome=Outcome("turn_limit", "200\nturns")),
            *["has failed (turn_limit: 200 turns): `kugetsu retry k3f9` tries it again"] * 2,
        ),
        (
            record(state="cancelled", outcome=Outcome("cancelled", "by the user")),
            *["is cancelled (by the user): `kugetsu retry k3f9` tries it again"] * 2,
        ),
    ],
)
def test_it_is_said_where_a_task_stands_and_what_comes_next(there: TaskRecord, served: str, alone: str) -> None:
    assert standing(there, served=True, now=NOW) == f"task k3f9 {served}"
    assert standing(there, served=False, now=NOW) == f"task k3f9 {alone}"


def test_only_what_waits_needs_a_reason() -> None:
    died = Outcome("interrupted", "its worker died")
    assert why(record(outcome=died).shown, NOW) == "interrupted: its worker died"
    assert why(record(state="running", outcome=died).shown, NOW) == ""
    assert why(record(state="failed", outcome=died).shown, NOW) == ""
    assert why(record().shown, NOW) == ""


def test_what_the_queue_knows_is_told() -> None:
    task = msgspec.structs.replace(TASK, after=("a", "b"), deadline_at=NOW + 60, forked_from="m7q2:3", attempts=3)
    waiting = record(
        task=task, blockers=1, available_at=NOW + 5, priority=4, key="mine", wanted="pause", reason="lunch"
    )
    assert {label: value for label, value, _ in record_fields(waiting, [], {}, NOW)} == {
        "not before": "2026-01-01 00:00:05",
        "wanted": "pause: lunch",
        "waits for": "1 task of a, b",
        "deadline": "2026-01-01 00:01:00",
        "priority": "4",
        "fork of": "m7q2 after turn 3",
        "key": "mine",
        "attempts": "0 of 3 failed",
    }


def test_runs_are_told_with_their_ends_and_workers() -> None:
    died = Outcome("interrupted", "its worker\ndied")
    runs = [
        Run(generation=1, worker="w1", started_at=NOW, ended_at=NOW + 61, outcome=died),
        Run(generation=3, worker="w2", started_at=NOW + 100),
    ]
    workers = {"w2": WorkerInfo("w2", "here", 42, "kugetsu serve")}
    fields = {label: value for label, value, _ in record_fields(record(runs=2, place=PLACE), runs, workers, NOW)}
    assert fields["runs"].splitlines() == [
        "2026-01-01 00:00:00  1m01s  interrupted: its worker died",
        "2026-01-01 00:01:40  goes on in kugetsu serve, process 42",
    ]
    assert fields["worktree"] == "/w"
    many = {label: value for label, value, _ in record_fields(record(runs=12), runs[:1] * 12, {}, NOW)}
    assert many["runs"].startswith("12 runs; the last 10:\n")
    assert len(many["runs"].splitlines()) == 11
