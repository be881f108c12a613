import math

import msgspec
import pytest

from kugetsu.tasks import MOST_INTEGER, Changes, CheckResult, Commit, Limits, Outcome, TaskReport
from tasks.task_lab import a_task


def test_tightening_takes_the_stricter_limit_and_never_drops_one() -> None:
    ours, theirs = Limits(10, 0, 5, 0, 1), Limits(20, 60, 0, 0, 0.5)
    assert ours.tightened(theirs) == Limits(10, 60, 5, 0, 0.5)


def test_a_negative_limit_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="`turns` must be 0"):
        Limits(turns=-1)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("field", ["start_at", "deadline_at", "check_seconds", "created_at", "patience_seconds"])
def test_a_number_of_a_task_that_cannot_be_stored_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"`{field}` must be a finite number"):
        msgspec.structs.replace(a_task(), **{field: value})


@pytest.mark.parametrize("value", [math.inf, math.nan])
@pytest.mark.parametrize("field", ["wall_seconds", "idle_seconds", "usd", "turns", "tokens"])
def test_a_limit_that_cannot_be_stored_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"`{field}` must be a finite number"):
        msgspec.structs.replace(Limits(), **{field: value})


def test_an_integer_that_no_store_keeps_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=f"`turns` must be at most {MOST_INTEGER}"):
        Limits(turns=MOST_INTEGER + 1)
    with pytest.raises(ValueError, match="`attempts` must be at most"):
        a_task(attempts=2**70)
    assert Limits(turns=MOST_INTEGER).turns == MOST_INTEGER


def test_a_report_has_the_shape_that_scripts_rely_on() -> None:
    report = TaskReport(
        id="a",
        state="failed",
        outcome=Outcome("check_failed", "no"),
        prompt="p",
        model="m",
        repo="r",
        check=CheckResult("pytest", passed=False, exit_code=1, output_tail="E"),
    ).with_changes(Changes((Commit("f" * 40, "s"),), 1, 2, 3, uncommitted=True))
    data = msgspec.json.decode(msgspec.json.encode(report))
    wanted = """id state outcome summary repo base branch commits files_changed insertions deletions uncommitted check
                turns tool_calls usage seconds session"""
    assert set(wanted.split()) <= data.keys()
    assert data["outcome"] == {"class": "check_failed", "message": "no"}
    assert data["commits"] == [{"sha": "f" * 40, "subject": "s"}]
    assert data["check"] == {"command": "pytest", "passed": False, "exit_code": 1, "output_tail": "E"}
    assert data["usage"] == {"input": 0, "output": 0, "cached": 0, "cost_usd": 0.0}
    assert (data["files_changed"], data["insertions"], data["deletions"], data["uncommitted"]) == (1, 2, 3, True)


@pytest.mark.parametrize("until", [math.inf, math.nan])
def test_a_time_of_an_outcome_that_cannot_be_stored_is_refused_by_name(until: float) -> None:
    with pytest.raises(ValueError, match="`until` must be a finite number"):
        Outcome("rate_limited", "slow down", until=until)


def test_an_outcome_names_a_time_only_when_there_is_one() -> None:
    assert msgspec.json.encode(Outcome("stall", "silence")) == b'{"class":"stall","message":"silence"}'
    until = Outcome("rate_limited", "slow down", until=5.5)
    assert msgspec.json.decode(msgspec.json.encode(until), type=Outcome) == until
