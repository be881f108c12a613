from collections.abc import Callable
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kugetsu.errors import StateConflictError
from kugetsu.tasks import (
    FINAL_STATES,
    MOST_CRASHES,
    TRANSITIONS,
    Answer,
    Cancel,
    Claiming,
    Ending,
    Limits,
    Outcome,
    Pause,
    Prioritise,
    Resume,
    Retry,
    Say,
    TaskRecord,
    TaskState,
    abandoned,
    blocked_for_good,
    claimed,
    controlled,
    expired,
    given_back,
    overdue,
    placed,
    settled,
    submitted,
    unblocked,
)
from tasks.task_lab import NOW, PLACE, a_record, a_task, an_ending, running

STATES: tuple[TaskState, ...] = get_args(TaskState)


@pytest.mark.parametrize("state", STATES)
def test_there_is_a_way_out_of_every_state_but_only_a_user_or_a_rewind_leaves_a_final_one(state: TaskState) -> None:
    assert TRANSITIONS[state]
    if state in FINAL_STATES:
        assert TRANSITIONS[state] <= {"pending", "running"}


# Coming in, and being claimed.


def test_a_task_comes_in_with_its_own_priority_start_and_key() -> None:
    record = submitted(a_task(priority=4, start_at=NOW + 60), number=7, now=NOW, blockers=2, key="k")
    assert (record.state, record.number, record.priority, record.blockers, record.key) == ("pending", 7, 4, 2, "k")
    assert record.available_at == NOW + 60


def test_waiting_counts_from_the_moment_a_task_may_start() -> None:
    assert submitted(a_task(), number=1, now=NOW).queued_at == NOW
    assert submitted(a_task(start_at=NOW + 60), number=1, now=NOW).queued_at == NOW + 60


@pytest.mark.parametrize("claiming", get_args(Claiming))
def test_a_claim_raises_the_generation_and_names_the_worker(claiming: Claiming) -> None:
    record = claimed(a_record(generation=5, available_at=NOW), "w", claiming=claiming)
    assert (record.state, record.worker, record.generation, record.available_at) == ("running", "w", 6, 0.0)


def test_a_claim_for_a_rewind_is_no_run() -> None:
    assert claimed(a_record(runs=3), "w").runs == 4
    assert claimed(a_record(runs=3), "w", claiming="rewind").runs == 3


@pytest.mark.parametrize(
    ("claiming", "states"),
    [
        ("queue", {"pending", "waiting"}),
        ("name", {"pending", "waiting"}),
        ("rewind", {"pending", "waiting", "paused", "completed", "failed", "cancelled"}),
    ],
)
def test_who_may_claim_in_which_state(claiming: Claiming, states: set[TaskState]) -> None:
    for state in STATES:
        if state in states:
            assert claimed(a_record(state=state), "w", claiming=claiming).state == "running"
        else:
            with pytest.raises(StateConflictError, match=f"is {state} and cannot be run"):
                claimed(a_record(state=state), "w", claiming=claiming)


@pytest.mark.parametrize("claiming", ["queue", "name"])
def test_what_waits_for_an_answer_cannot_be_claimed(claiming: Claiming) -> None:
    record = a_record(state="waiting", question="which?", available_at=NOW)
    with pytest.raises(StateConflictError, match="is waiting and cannot be run") as refusal:
        claimed(record, "w", claiming=claiming)
    assert "`kugetsu answer a TEXT`" in refusal.value.fix


@pytest.mark.parametrize("claiming", get_args(Claiming))
def test_what_waits_for_other_tasks_cannot_be_claimed(claiming: Claiming) -> None:
    with pytest.raises(StateConflictError, match="waits for 2 other tasks"):
        claimed(a_record(blockers=2), "w", claiming=claiming)


def test_a_question_is_over_when_the_task_goes_on() -> None:
    assert claimed(a_record(question="which?"), "w").question == ""


def test_a_question_stays_known_while_its_task_is_put_back_to_an_earlier_turn() -> None:
    assert claimed(a_record(state="waiting", question="which?"), "w", claiming="rewind").question == "which?"


# How runs end.


@pytest.mark.parametrize("state", ["pending", "waiting", "paused", "completed", "failed", "cancelled"])
def test_a_run_leaves_its_task_as_it_says(state: TaskState) -> None:
    ending = an_ending(state, available_at=NOW + 9, attempts=2, question="which?")
    after = settled(running(crashes=2), ending)
    assert (after.state, after.worker, after.generation) == (state, "", 5)
    assert (after.outcome, after.report) == (ending.outcome, ending.report)
    assert (after.available_at, after.attempts, after.question, after.crashes) == (NOW + 9, 2, "which?", 0)


def test_no_run_leaves_its_task_running() -> None:
    ending = Ending(state="running", outcome=Outcome("completed", "?"), report=running().report)
    with pytest.raises(StateConflictError, match="left running"):
        settled(running(), ending)


@pytest.mark.parametrize("state", ["pending", "waiting"])
def test_a_pause_that_was_wanted_meanwhile_holds_after_the_run(state: TaskState) -> None:
    after = settled(running(wanted="pause", reason="not now"), an_ending(state, question="which?"))
    assert (after.state, after.wanted) == ("paused", "")
    assert controlled(after, Resume()).record.state == "waiting"


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled"])
def test_a_pause_that_came_too_late_is_forgotten(state: TaskState) -> None:
    after = settled(running(wanted="pause"), an_ending(state))
    assert (after.state, after.wanted) == (state, "")


@pytest.mark.parametrize("state", ["pending", "waiting", "paused"])
def test_a_cancel_that_was_wanted_meanwhile_is_done_by_the_next_run_at_once(state: TaskState) -> None:
    record = running(wanted="cancel", reason="no need")
    after = settled(record, an_ending(state, available_at=NOW + 900, question="which?"))
    assert (after.state, after.wanted, after.reason) == ("pending", "cancel", "no need")
    assert (after.available_at, after.question) == (0.0, "")


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled"])
def test_a_cancel_that_came_too_late_is_forgotten(state: TaskState) -> None:
    after = settled(running(wanted="cancel", reason="no need"), an_ending(state))
    assert (after.state, after.wanted, after.reason) == (state, "", "")


def test_a_task_whose_worker_died_goes_back_to_its_place_in_the_queue() -> None:
    record = running(queued_at=NOW - 50, priority=3)
    after = abandoned(record)
    assert (after.state, after.worker, after.generation, after.crashes) == ("pending", "", 5, 1)
    assert (after.rank, after.attempts) == (record.rank, record.attempts)
    assert after.outcome == Outcome("interrupted", "its worker died")


def test_a_task_that_killed_too_many_workers_is_set_aside_with_the_evidence() -> None:
    after = abandoned(running(crashes=MOST_CRASHES - 1, question="which?"), evidence="in turn 3, in bash")
    assert (after.state, after.worker, after.crashes, after.question) == ("failed", "", MOST_CRASHES, "")
    assert after.outcome is not None
    assert after.outcome.kind == "poisonous"
    assert f"{MOST_CRASHES} times" in after.outcome.message
    assert "in turn 3, in bash" in after.outcome.message


def test_a_cancel_survives_crashes_but_not_without_end() -> None:
    record = running(wanted="cancel", reason="no need")
    after = abandoned(record)
    assert (after.state, after.wanted, after.reason) == ("pending", "cancel", "no need")
    after = abandoned(running(wanted="cancel", reason="no need", crashes=MOST_CRASHES - 1), evidence="in turn 3")
    assert (after.state, after.wanted, after.worker) == ("cancelled", "", "")
    assert after.outcome is not None
    assert after.outcome.kind == "cancelled"
    assert "no need" in after.outcome.message
    assert "in turn 3" in after.outcome.message


def test_a_pause_survives_a_crash_and_is_done_by_it() -> None:
    after = abandoned(running(wanted="pause", reason="not now"))
    assert (after.state, after.wanted, after.crashes) == ("paused", "", 1)


def test_a_task_that_was_given_back_may_start_at_once_and_counts_no_crash() -> None:
    after = given_back(running(crashes=2))
    assert (after.state, after.worker, after.generation, after.crashes) == ("pending", "", 5, 2)
    assert after.available_at == 0.0
    assert after.outcome == Outcome("interrupted", "its worker stopped")
    assert given_back(running(wanted="pause")).state == "paused"
    assert given_back(running(wanted="cancel")).wanted == "cancel"


def test_a_task_whose_worker_was_not_heard_of_in_time_is_given_back_without_blame() -> None:
    after = overdue(running(crashes=2))
    assert (after.state, after.worker, after.generation, after.crashes) == ("pending", "", 5, 2)
    assert after.outcome == Outcome("interrupted", "its worker was not heard of in time")
    assert overdue(running(wanted="pause")).state == "paused"
    assert overdue(running(wanted="cancel")).wanted == "cancel"


def test_a_rewind_does_not_revoke_a_cancel() -> None:
    record = a_record(wanted="cancel", reason="no need", place=PLACE)
    with pytest.raises(StateConflictError, match="being cancelled"):
        claimed(record, "w", claiming="rewind")
    assert claimed(record, "w").wanted == "cancel"


def test_a_task_keeps_the_place_of_its_work() -> None:
    assert placed(running(place=None), PLACE).place == PLACE


# Deadlines and dependencies.


def test_a_deadline_that_passed_fails_a_task() -> None:
    after = expired(a_record(blockers=1))
    assert (after.state, after.blockers) == ("failed", 0)
    assert after.outcome is not None
    assert after.outcome.kind == "expired"


def test_a_deadline_counts_for_the_first_try_alone() -> None:
    again = controlled(expired(a_record()), Retry()).record
    assert expired(again) is again


@pytest.mark.parametrize("state", ["pending", "paused"])
def test_a_task_fails_with_what_it_waits_for_also_while_it_is_paused(state: TaskState) -> None:
    after = blocked_for_good(a_record(state=state, blockers=2), a_record("b", state="failed"))
    assert (after.state, after.blockers) == ("failed", 0)
    assert after.outcome == Outcome("dependency", "task b, which had to be completed before, is failed")


def test_each_completed_task_takes_one_blocker_away() -> None:
    assert unblocked(a_record(blockers=2)).blockers == 1
    assert unblocked(a_record(blockers=0)).blockers == 0


# Whatever happens, in any order.

outcomes = st.sampled_from([Outcome("completed", "done"), Outcome("network", "cut"), Outcome("question", "which?")])
endings = st.builds(
    Ending,
    state=st.sampled_from([state for state in STATES if state != "running"]),
    outcome=outcomes,
    report=st.just(a_record().report),
    available_at=st.sampled_from([0.0, NOW + 60]),
    attempts=st.integers(0, 3),
    question=st.sampled_from(["", "which?"]),
)
controls = st.one_of(
    st.builds(Cancel),
    st.builds(Pause),
    st.builds(Resume, limits=st.none() | st.just(Limits(turns=900))),
    st.builds(Retry),
    st.builds(Say, text=st.just("hm")),
    st.builds(Answer, text=st.just("this one")),
    st.builds(Prioritise, priority=st.integers(-100, 100)),
)
Step = Callable[[TaskRecord], TaskRecord]
steps: st.SearchStrategy[Step] = st.one_of(
    controls.map(lambda control: lambda record: controlled(record, control).record),
    st.sampled_from(get_args(Claiming)).map(lambda claiming: lambda record: claimed(record, "w", claiming=claiming)),
    endings.map(lambda ending: lambda record: settled(record, ending) if record.state == "running" else record),
    st.just(lambda record: abandoned(record) if record.state == "running" else record),
    st.just(lambda record: overdue(record) if record.state == "running" else record),
    st.just(lambda record: given_back(record) if record.state == "running" else record),
    st.just(lambda record: placed(record, PLACE) if record.state == "running" else record),
)


@given(st.lists(steps, max_size=30))
def test_whatever_happens_a_task_stays_consistent(walk: list[Step]) -> None:
    record = submitted(a_task(), number=1, now=NOW)
    for step in walk:
        before = record
        try:
            record = step(record)
        except StateConflictError:
            continue
        assert record.state == before.state or record.state in TRANSITIONS[before.state]
        assert (record.state == "running") == bool(record.worker)
        assert record.generation >= before.generation
        gained_or_lost = (record.state == "running") != (before.state == "running")
        assert (record.generation > before.generation) == gained_or_lost
        # What is wanted is wanted of a worker: of the one that has it, or of the next one.
        assert not record.wanted or record.state == "running" or (record.state, record.wanted) == ("pending", "cancel")
        assert not (record.final and record.wanted)
        assert record.runs <= record.generation
        # What starts by itself can be claimed, and nothing else that waits.
        assert not record.queued or claimed(record, "w").state == "running"
        assert not (record.queued and record.waits_for_answer)
