import msgspec
import pytest

from kugetsu.tasks import (
    Answer,
    Cancel,
    Control,
    Limits,
    Outcome,
    Pause,
    Prioritise,
    Resume,
    Retry,
    Say,
    TaskRecord,
    TaskReport,
)
from tasks.task_lab import PLACE, a_record, a_task


def test_users_are_shown_where_a_task_stands_not_what_its_report_said_when_it_was_made() -> None:
    record = a_record(
        report=msgspec.structs.replace(TaskReport.of(a_task()), summary="half of it", turns=4),
        state="waiting",
        outcome=Outcome("question", "which one?"),
        priority=9,
        question="which one?",
        available_at=5.0,
        runs=2,
        attempts=1,
    )
    shown = record.shown
    assert (shown.summary, shown.turns) == ("half of it", 4)
    assert (shown.state, shown.priority, shown.question) == ("waiting", 9, "which one?")
    assert (shown.available_at, shown.runs, shown.attempts) == (5.0, 2, 1)
    assert shown.outcome == Outcome("question", "which one?")


@pytest.mark.parametrize(
    ("state", "final"),
    [
        ("pending", False),
        ("running", False),
        ("waiting", False),
        ("paused", False),
        ("completed", True),
        ("failed", True),
        ("cancelled", True),
    ],
)
def test_three_states_are_the_end(state: str, *, final: bool) -> None:
    assert a_record(state=state).final is final


def test_a_record_survives_its_json() -> None:
    record = a_record(
        state="running", worker="w", generation=3, runs=2, place=PLACE, outcome=Outcome("stall", "silence")
    )
    assert msgspec.json.decode(msgspec.json.encode(record), type=TaskRecord) == record


@pytest.mark.parametrize(
    "control",
    [
        Cancel("why"),
        Pause("why"),
        Resume(),
        Resume(Limits(usd=25)),
        Retry(),
        Say("hm", "follow_up", "key"),
        Answer("yes"),
        Prioritise(-5),
    ],
)
def test_each_control_survives_its_json(control: Control) -> None:
    assert msgspec.json.decode(msgspec.json.encode(control), type=Control) == control


@pytest.mark.parametrize(
    ("state", "question", "blockers", "queued"),
    [
        ("pending", "", 0, True),
        ("pending", "", 1, False),
        ("pending", "which?", 0, True),
        ("waiting", "", 0, True),
        ("waiting", "which?", 0, False),
        ("waiting", "", 1, False),
        ("paused", "", 0, False),
        ("running", "", 0, False),
        ("failed", "", 0, False),
    ],
)
def test_what_waits_for_nothing_but_its_time_starts_by_itself(
    state: str, question: str, blockers: int, *, queued: bool
) -> None:
    record = a_record(state=state, question=question, blockers=blockers)
    assert record.queued is queued
    assert record.waits_for_answer is (state == "waiting" and bool(question))
