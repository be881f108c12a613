import msgspec
import pytest

from kugetsu.tasks import Changes, CheckResult, Commit, Limits, Outcome, TaskReport


def test_tightening_takes_the_stricter_limit_and_never_drops_one() -> None:
    ours, theirs = Limits(10, 0, 5, 0, 1), Limits(20, 60, 0, 0, 0.5)
    assert ours.tightened(theirs) == Limits(10, 60, 5, 0, 0.5)


def test_a_negative_limit_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="`turns` must be 0"):
        Limits(turns=-1)


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
