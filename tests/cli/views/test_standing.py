from typing import Any

import msgspec
import pytest

from kugetsu.cli.views.standing import queue_fields, standing, why
from kugetsu.protocols import PastRun, TaskDetails, WorkerName
from kugetsu.tasks import Outcome

NOW = 1_767_225_600.0
NO_WORKER = "no worker runs: `kugetsu resume k3f9` goes on with it here, `kugetsu serve` with all"


def details(**fields: Any) -> TaskDetails:
    task = TaskDetails(id="k3f9", state="pending", prompt="p", model="m", repo="r", number=1)
    return msgspec.structs.replace(task, **fields)


@pytest.mark.parametrize(
    ("there", "served", "alone"),
    [
        (
            details(),
            "is pending: it waits for its turn",
            f"is pending: it waits for its turn; {NO_WORKER}",
        ),
        (
            details(available_at=NOW + 60),
            "is pending: it waits until 2026-01-01 00:01:00",
            f"is pending: it waits until 2026-01-01 00:01:00; {NO_WORKER}",
        ),
        (details(waits_for=2), *["is pending: it waits for 2 tasks to be completed"] * 2),
        (
            details(wanted="cancel", worktree="/w"),
            "is being cancelled: a worker brings its work home",
            "is being cancelled: `kugetsu cancel k3f9` brings its work home",
        ),
        (details(state="running"), *["is being worked on: `kugetsu logs -f k3f9` shows how"] * 2),
        (details(state="running", wanted="pause"), *["is being paused: its agent ends its turn"] * 2),
        (details(state="running", wanted="cancel"), *["is being cancelled: its work is brought home"] * 2),
        (
            details(state="waiting", question="Which\none?\x1b[2J"),
            "waits for an answer to: Which one? (`kugetsu answer k3f9 TEXT`)",
            "waits for an answer to: Which one? (`kugetsu answer k3f9 TEXT`, then `kugetsu resume k3f9`)",
        ),
        (details(state="paused"), *["is paused: `kugetsu resume k3f9` lets it go on"] * 2),
        (
            details(state="paused", question="Which?"),
            *["is paused and asks: Which? (`kugetsu answer k3f9 TEXT`, then `kugetsu resume k3f9`)"] * 2,
        ),
        (details(state="completed"), *["is completed"] * 2),
        (
            details(state="failed", outcome=Outcome("turn_limit", "200\nturns")),
            *["has failed (turn_limit: 200 turns): `kugetsu retry k3f9` tries it again"] * 2,
        ),
        (
            details(state="cancelled", outcome=Outcome("cancelled", "by the user")),
            *["is cancelled (by the user): `kugetsu retry k3f9` tries it again"] * 2,
        ),
    ],
)
def test_it_is_said_where_a_task_stands_and_what_comes_next(there: TaskDetails, served: str, alone: str) -> None:
    assert standing(msgspec.structs.replace(there, served=True), now=NOW) == f"task k3f9 {served}"
    assert standing(there, now=NOW) == f"task k3f9 {alone}"


def test_only_what_waits_needs_a_reason() -> None:
    died = Outcome("interrupted", "its worker died")
    assert why(details(outcome=died), NOW) == "interrupted: its worker died"
    assert why(details(state="running", outcome=died), NOW) == ""
    assert why(details(state="failed", outcome=died), NOW) == ""
    assert why(details(), NOW) == ""


def test_what_the_queue_knows_is_told() -> None:
    waiting = details(
        after=("a", "b"),
        deadline_at=NOW + 60,
        forked_from="m7q2:3",
        most_attempts=3,
        waits_for=1,
        available_at=NOW + 5,
        priority=4,
        key="mine",
        wanted="pause",
        wanted_reason="lunch",
        subject="example.org/team/tool#7",
        reply_to={"target": "ops", "thread_id": "5"},
    )
    assert {label: value for label, value, _ in queue_fields(waiting, NOW)} == {
        "not before": "2026-01-01 00:00:05",
        "wanted": "pause: lunch",
        "waits for": "1 task of a, b",
        "deadline": "2026-01-01 00:01:00",
        "about": "example.org/team/tool#7",
        "reply to": "target ops, thread_id 5",
        "priority": "4",
        "fork of": "m7q2 after turn 3",
        "key": "mine",
        "attempts": "0 of 3 failed",
    }


def test_runs_are_told_with_their_ends_and_workers() -> None:
    died = Outcome("interrupted", "its worker\ndied")
    runs = (
        PastRun(started_at=NOW, ended_at=NOW + 61, outcome=died),
        PastRun(started_at=NOW + 100, worker=WorkerName("kugetsu serve", 42)),
    )
    fields = {label: value for label, value, _ in queue_fields(details(runs=2, run_history=runs, worktree="/w"), NOW)}
    assert fields["runs"].splitlines() == [
        "2026-01-01 00:00:00  1m01s  interrupted: its worker died",
        "2026-01-01 00:01:40  goes on in kugetsu serve, process 42",
    ]
    assert fields["worktree"] == "/w"
    many = {label: value for label, value, _ in queue_fields(details(runs=12, run_history=runs[:1] * 12), NOW)}
    assert many["runs"].startswith("12 runs; the last 10:\n")
    assert len(many["runs"].splitlines()) == 11
