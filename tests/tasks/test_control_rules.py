"""What users ask of tasks, as the pure rules know it."""

import msgspec
import pytest

from kugetsu.errors import StateConflictError
from kugetsu.tasks import (
    Answer,
    Cancel,
    Changed,
    Control,
    Limits,
    Outcome,
    Pause,
    Prioritise,
    Resume,
    Retry,
    TaskRecord,
    TaskState,
    claimed,
    controlled,
)
from tasks.control_table import CASES, CONTROLS, SITUATIONS
from tasks.task_lab import NOW, PLACE, RECORDS, a_record, running


def ask(record: TaskRecord, control: str) -> Changed:
    """What one of the table's controls does; `answered` situations have another answer already."""
    return controlled(record, CONTROLS[control], answered=["the red one"] if record.reason == "answered" else [])


def test_the_table_and_the_records_speak_of_the_same_situations() -> None:
    assert set(SITUATIONS) == set(RECORDS)


@pytest.mark.parametrize(("situation", "control", "expected"), CASES)
def test_a_control_does_what_the_table_says(situation: str, control: str, expected: str) -> None:
    record = RECORDS[situation]
    if expected == "-":
        with pytest.raises(StateConflictError, match=f"task {record.id} ") as refusal:
            ask(record, control)
        assert refusal.value.fix
    else:
        after = ask(record, control).record
        assert f"{after.state}!{after.wanted}".strip("!") == expected


# A task that asks again is not resumed a second time but answered.
REPEATABLE = [(s, c) for s, c, expected in CASES if expected != "-" and (s, c) != ("paused_asking", "resume")]


@pytest.mark.parametrize(("situation", "control"), REPEATABLE)
def test_doing_it_again_changes_nothing(situation: str, control: str) -> None:
    first = ask(RECORDS[situation], control)
    waiting = [first.note[1]] if first.note and first.note[0] == "answer" else []
    again = controlled(first.record, CONTROLS[control], answered=waiting)
    assert again.record == first.record
    # What is said is said again, under the same key; everything else leaves a note only once.
    assert (again.note is None) == (control != "say")
    assert again.key == first.key


@pytest.mark.parametrize(
    ("state", "control", "fix"),
    [
        ("waiting", Retry(), "`kugetsu resume a`"),
        ("paused", Retry(), "`kugetsu resume a`"),
        ("completed", Resume(), "`kugetsu fork a --turn"),
        ("failed", Resume(), "`kugetsu retry a`"),
        ("cancelled", Pause(), "`kugetsu retry a`"),
        ("completed", Answer("x"), "`kugetsu fork a --turn"),
    ],
)
def test_a_refusal_names_what_can_be_typed(state: TaskState, control: Control, fix: str) -> None:
    with pytest.raises(StateConflictError) as caught:
        controlled(a_record(state=state), control)
    assert fix in caught.value.fix


def test_what_waits_for_an_answer_is_told_so() -> None:
    with pytest.raises(StateConflictError) as caught:
        controlled(RECORDS["asking"], Resume())
    assert "`kugetsu answer a TEXT`" in caught.value.fix


def test_a_cancel_of_a_task_without_work_is_done_at_once_and_says_why() -> None:
    after = controlled(a_record(blockers=1), Cancel("no need")).record
    assert after.outcome == Outcome("cancelled", "no need")
    assert after.blockers == 0


def test_a_cancel_of_a_task_with_work_waits_for_nothing() -> None:
    record = a_record(state="waiting", place=PLACE, question="which?", available_at=NOW + 60)
    after = controlled(record, Cancel("no need")).record
    assert (after.wanted, after.reason, after.available_at, after.question) == ("cancel", "no need", 0.0, "")
    assert claimed(after, "w").wanted == "cancel"


def test_a_cancel_takes_precedence_over_a_pause() -> None:
    after = controlled(running(wanted="pause", reason="not now"), Cancel("no need")).record
    assert (after.wanted, after.reason) == ("cancel", "no need")


def test_a_resume_takes_back_a_pause_that_is_not_done_yet() -> None:
    after = controlled(running(wanted="pause", reason="not now"), Resume()).record
    assert (after.wanted, after.reason) == ("", "")


def test_a_resume_lets_a_task_start_before_its_time() -> None:
    assert controlled(a_record(available_at=NOW + 60), Resume()).record.available_at == 0.0


def test_a_resume_lets_a_task_go_on_that_waits_for_a_time() -> None:
    record = a_record(state="waiting", place=PLACE, available_at=NOW + 60)
    after = controlled(record, Resume(), now=NOW + 5).record
    assert (after.state, after.available_at, after.queued_at) == ("pending", 0.0, record.queued_at)


@pytest.mark.parametrize("situation", ["fresh", "delayed", "blocked", "begun", "resting", "paused", "halted"])
def test_a_resume_may_give_a_task_other_limits_and_changes_nothing_else_of_it(situation: str) -> None:
    more = Limits(turns=900)
    record = RECORDS[situation]
    after = controlled(record, Resume(limits=more)).record
    assert after.task.limits == more
    assert msgspec.structs.replace(after.task, limits=record.task.limits) == record.task
    assert msgspec.structs.replace(after, task=record.task) == controlled(record, Resume()).record
    assert controlled(after, Resume(limits=more)).record == after


def test_a_task_that_runs_gets_no_other_limits() -> None:
    with pytest.raises(StateConflictError, match="is running and cannot get other limits before it is paused"):
        controlled(running(), Resume(limits=Limits(turns=900)))
    same = running(wanted="pause")
    assert controlled(same, Resume(limits=same.task.limits)).record.wanted == ""


def test_a_task_that_was_paused_while_it_asked_waits_for_its_answer_again() -> None:
    paused = controlled(RECORDS["asking"], Pause()).record
    assert (paused.state, paused.question) == ("paused", "which?")
    answered = controlled(paused, Answer("this one"))
    assert (answered.record.state, answered.note) == ("paused", ("answer", "this one"))
    assert controlled(answered.record, Resume(), answered=["this one"]).record.state == "pending"
    # Also when a run took the answer in and died.
    assert controlled(answered.record, Resume()).record.state == "pending"


def test_a_retry_begins_anew_and_says_what_was_tried() -> None:
    record = a_record(state="failed", attempts=3, crashes=2, outcome=Outcome("check_failed", "2 tests fail"))
    changed = controlled(record, Retry())
    assert (changed.record.attempts, changed.record.crashes, changed.record.state) == (0, 0, "pending")
    assert changed.note == ("retry", "check_failed: 2 tests fail")


def test_what_is_tried_again_or_resumed_does_not_overtake_what_waited_meanwhile() -> None:
    later = NOW + 86_400
    assert controlled(a_record(state="failed"), Retry(), now=later).record.queued_at == later
    assert controlled(a_record(state="cancelled"), Retry(), now=later).record.queued_at == later
    assert controlled(a_record(state="paused"), Resume(), now=later).record.queued_at == later
    assert controlled(a_record(), Resume(), now=later).record.queued_at == NOW
    assert controlled(a_record(), Retry(), now=later).record.queued_at == NOW


def test_an_answer_brings_a_task_back_to_its_place_in_the_queue() -> None:
    changed = controlled(RECORDS["asking"], Answer("this one"), now=NOW + 86_400)
    assert (changed.record.state, changed.record.queued_at) == ("pending", RECORDS["asking"].queued_at)
    assert changed.note == ("answer", "this one")
    assert changed.record.shown.question == ""


@pytest.mark.parametrize("priority", [-101, 101])
def test_a_priority_out_of_range_is_refused(priority: int) -> None:
    with pytest.raises(StateConflictError, match=f"from -100 to 100, not {priority}"):
        controlled(a_record(), Prioritise(priority))


def test_another_priority_is_another_place_in_the_queue() -> None:
    record = a_record()
    assert controlled(record, Prioritise(100)).record.rank < record.rank
    assert controlled(record, Prioritise(0)).record is record
