"""The job is killed (SIGKILL) at every named point, taken up again, and must end as if nothing had happened."""

import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from kugetsu.failpoints import POINTS
from kugetsu.processes.census import read_census
from kugetsu.tasks import TaskReport
from support.drill import Course, Drill, bash, kill, once, usage_of
from support.patient_model import PatientModel

NOT_IN_THIS_JOB = {"claim.before", "claim.after", "restore.before", "restore.after", "reap.before", "reap.after"}
"""Points that `kugetsu run` does not pass."""

TWICE = {"pruning.committed", "summary.received", "compaction.committed"}
"""Points that the job passes twice."""

UNPAID = {"reply.received", "summary.received", "group.begun", "group.before_commit"}
"""Points between the last byte of a reply, or of notes, and the end of its commit: nobody but the provider knows of it."""

MOST_VISITS = int(os.environ.get("KUGETSU_DRILL_VISITS", "2"))


def check_end(drill: Drill, undisturbed: Course, *, unpaid: int = 0) -> TaskReport:
    """The job is done as if nothing had happened; so many replies may have been paid twice."""
    task, model = drill.task, drill.model
    assert task.state == "completed", task.outcome
    course = drill.course(task)
    assert course.tree == undisturbed.tree
    assert len(course.results) == len(undisturbed.results)
    # What had its effect before it was cut may say so when it is made again.
    cut = drill.cut_calls(task)
    assert (Counter(undisturbed.results) - Counter(course.results)).total() <= cut
    if not cut:
        assert course == undisturbed
    assert [place for place, texts in model.sent.items() if len(texts) > 1] == [], "sent with other words before"
    assert drill.deliveries(task) == 1
    assert drill.left_overs() == []
    assert model.paid_twice <= unpaid
    assert task.turns == len(model.paid)
    assert usage_of(drill.entries(task)) == task.usage
    assert (task.usage.input, task.usage.output) == (model.used.input, model.used.output)
    return task


@pytest.mark.parametrize("visit", range(1, MOST_VISITS + 1))
@pytest.mark.parametrize("point", [point for point in POINTS if point not in NOT_IN_THIS_JOB])
def test_a_crash_at_any_point_changes_nothing(drill: Drill, undisturbed: Course, point: str, visit: int) -> None:
    killed = drill.run_job(point=point, visit=visit)
    assert killed or (visit > 1 and point not in TWICE) or visit > 2, f"the job never passes {point}"
    if not drill.tasks:
        assert point.startswith(("submit.", "group."))
        assert not drill.run_job()
    elif drill.task.state != "completed":
        assert not drill.resume()
    check_end(drill, undisturbed, unpaid=point in UNPAID)


@pytest.mark.parametrize("point", ["reap.before", "reap.after", "claim.before", "claim.after", "workspace.before"])
def test_a_crash_while_the_job_is_taken_up_again_changes_nothing(drill: Drill, undisturbed: Course, point: str) -> None:
    assert drill.run_job(point="call.running", visit=4)
    drill.resume(point=point)
    assert drill.task.state != "completed" or point == "workspace.before"
    if drill.task.state != "completed":
        assert not drill.resume()
    check_end(drill, undisturbed)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("call.running", "call.committed"),
        ("call.done", "snapshot.before"),
        ("snapshot.after", "reply.committed"),
        ("effect.acted", "effect.acted"),
        ("close.after", "settle.before"),
        ("workspace.made", "workspace.made"),
        ("reply.committed", "group.before_commit"),
        ("pruning.committed", "reply.received"),
        ("summary.received", "summary.received"),
        ("summary.received", "compaction.committed"),
        ("compaction.committed", "reply.received"),
        ("compaction.committed", "pruning.committed"),
    ],
)
def test_two_crashes_in_a_row_change_nothing(drill: Drill, undisturbed: Course, first: str, second: str) -> None:
    assert drill.run_job(point=first)
    assert drill.resume(point=second)
    assert not drill.resume()
    check_end(drill, undisturbed, unpaid=(first in UNPAID) + (second in UNPAID))


def test_a_kill_in_the_middle_of_a_command_ends_the_command_before_the_task_goes_on(tmp_path: Path) -> None:
    slow = "echo $$ > pid; touch begun; setsid sleep 300 & sleep 300; echo never > late"
    with PatientModel([[bash(slow)], [bash(once("after"))]]) as model:
        drill = Drill(tmp_path, model)
        # The patient model makes an interrupted call again: here it would sleep once more.
        model.plan[0] = [bash(f"test -e begun || {{ {slow}; }}")]
        process = drill.start("run", "do it", "--repo", str(drill.user.repo), "--json")
        begun = wait_for(drill.user.home / "worktrees", "begun")
        kill(process)
        bash_pid = int((begun.parent / "pid").read_text())
        assert not drill.resume()
        assert read_census().living([bash_pid]) == set()
        task = drill.task
        assert task.state == "completed"
        assert "late" not in drill.tree(task)
        assert drill.left_overs() == []


def test_a_stop_in_good_order_goes_on_exactly_there(drill: Drill, undisturbed: Course) -> None:
    process = drill.start_job()
    wait_for(drill.user.home / "worktrees", "effects.log")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    if drill.task.state != "completed":
        assert process.returncode == 5
        assert not drill.resume()
    check_end(drill, undisturbed)


def wait_for(directory: Path, name: str) -> Path:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if found := list(directory.glob(f"*/{name}")):
            return found[0]
        time.sleep(0.005)
    raise AssertionError(f"{name} never appeared")
