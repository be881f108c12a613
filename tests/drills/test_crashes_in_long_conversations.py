"""What a crash, or a stop, leaves of a conversation that was pruned and compacted; and going back before all that."""

import json
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from kugetsu.sessions import Checkpoint, Compacted, Entry, Session
from kugetsu.tasks import TaskReport
from support.drill import PLAN, THOUGHTS, WINDOW, Course, Drill, usage_of
from support.patient_model import PatientModel

GRACE = 2.0
EDIT = len(PLAN) - 2
"""The step that changes a file, behind all prunings and compactions."""

EARLY = 3
"""A turn before all of them."""


def check_same(drill: Drill, undisturbed: Course, *, unpaid: int = 0) -> TaskReport:
    """The job is done, in just those steps, and everything was paid once but so many replies."""
    task, model = drill.task, drill.model
    assert task.state == "completed", task.outcome
    assert drill.course(task) == undisturbed
    assert model.paid_twice == unpaid
    assert (task.usage.input, task.usage.output) == (model.used.input, model.used.output)
    assert usage_of(drill.entries(task)) == task.usage
    assert drill.left_overs() == []
    return task


@pytest.mark.parametrize(
    ("point", "change", "later"),
    [
        ("reply.received", 0, 1),  # the first after a pruning
        ("checkpoint.committed", 1, 0),  # right before a compaction
        ("reply.committed", 1, 1),  # right behind it
        ("checkpoint.committed", 2, 1),
        ("reply.received", 3, 1),
    ],
)
def test_a_crash_around_a_change_of_the_conversation_changes_nothing(
    drill: Drill, undisturbed: Course, point: str, change: int, later: int
) -> None:
    turn, _ = undisturbed.changes[change]
    assert drill.run_job(point=point, visit=turn + later)  # each turn passes these points once
    assert not drill.resume()
    check_same(drill, undisturbed, unpaid=point == "reply.received")


def test_a_call_that_is_cut_after_a_compaction_is_known_as_cut_and_everything_else_stays(
    drill: Drill, undisturbed: Course
) -> None:
    assert drill.run_job(point="call.running", visit=1 + sum(map(len, PLAN[:EDIT])))
    before = drill.course(drill.task).changes
    assert not drill.resume()
    task = drill.task
    course = drill.course(task)
    assert drill.cut_calls(task) == 1
    assert (course.tree, sorted(course.results)) == (undisturbed.tree, sorted(undisturbed.results))
    assert course.changes[: len(before)] == before == undisturbed.changes
    assert drill.model.paid_twice == 0


def test_crashes_in_a_row_around_compactions_cost_two_summaries_and_change_nothing(
    drill: Drill, undisturbed: Course
) -> None:
    assert drill.run_job(point="summary.received")
    assert drill.resume(point="compaction.committed")
    assert drill.resume(point="reply.committed", visit=2)  # turns are closed, so nobody blames the task
    assert drill.resume(point="pruning.committed")
    assert drill.resume(point="summary.received")
    assert drill.resume(point="compaction.committed")
    assert not drill.resume()
    check_same(drill, undisturbed, unpaid=2)
    assert sorted(drill.model.noted.values()) == [2, 2]


def test_a_rehearsal_with_a_small_window_is_compacted_too_and_goes_on_behind_a_crash(tmp_path: Path) -> None:
    turns = [{"text": "I go on. " * (THOUGHTS // 9), "tool_calls": calls} for calls in PLAN]
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"turns": turns, "summaries": [{"text": "## Done\n- much"}], "window": WINDOW}))
    with PatientModel([]) as nobody:
        drill = Drill(tmp_path, nobody)
        arguments = ("run", "do it", "--repo", str(drill.user.repo), "--model", f"scripted:{script}")
        code, said = drill.run(*arguments, point="compaction.committed")
        assert code == -signal.SIGKILL, said
        assert not drill.resume()
        entries = drill.entries(drill.task)
        first, *_ = (entry for entry in entries if isinstance(entry, Compacted))
        assert (first.summary.text, first.model) == ("## Done\n- much", "scripted:script.json")
        assert [name for name, _ in drill.course(drill.task).results] == [
            call["name"] for step in PLAN for call in step
        ]
        assert drill.left_overs() == []


def stopped(drill: Drill, process: "subprocess.Popen[bytes]", model: PatientModel, *, goes_on: bool) -> float:
    """Stop the program while notes are half written; how many seconds it took to end."""
    assert model.begun.wait(30)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    if goes_on:
        time.sleep(0.2)
        model.goes_on.set()
    _, said = process.communicate(timeout=30)
    assert process.returncode == 5, said
    assert drill.task.state == "pending"
    return time.monotonic() - began


def in_the_ledger(drill: Drill) -> tuple[int, float]:
    """Tokens and US dollars that all days have seen."""
    with closing(sqlite3.connect(drill.user.home / "kugetsu.db")) as database:
        [row] = database.execute("select sum(tokens), sum(usd) from spending").fetchall()
    return int(row[0]), float(row[1])


def test_a_stop_while_notes_are_written_keeps_them_when_they_come_within_the_grace(
    tmp_path: Path, undisturbed: Course
) -> None:
    with PatientModel(PLAN, thoughts=THOUGHTS) as model:
        drill = Drill(tmp_path, model)
        model.goes_on.clear()
        stopped(drill, drill.start_job(), model, goes_on=True)
        assert any(isinstance(entry, Compacted) for entry in drill.entries(drill.task))
        assert not drill.resume()
        task = check_same(drill, undisturbed)
        tokens, usd = in_the_ledger(drill)
        assert tokens == task.usage.tokens
        assert usd == pytest.approx(task.usage.cost_usd, abs=1e-6)


def test_a_stop_ends_notes_that_take_longer_than_the_grace_and_books_what_they_may_have_cost(
    tmp_path: Path, undisturbed: Course
) -> None:
    with PatientModel(PLAN, thoughts=THOUGHTS) as model:
        drill = Drill(tmp_path, model, grace=GRACE)
        model.goes_on.clear()
        assert stopped(drill, drill.start_job(), model, goes_on=False) < GRACE + 5
        stop = drill.task
        assert usage_of(drill.entries(stop)) == stop.usage
        assert not any(isinstance(entry, Compacted) for entry in drill.entries(stop))
        tokens, usd = in_the_ledger(drill)
        prompt = model.used.input - stop.usage.input
        assert tokens - stop.usage.tokens >= prompt
        assert usd - (stop.usage.cost_usd or 0) >= prompt / 1e6
        model.goes_on.set()
        assert not drill.resume()
        task = check_same(drill, undisturbed, unpaid=1)
        more, _ = in_the_ledger(drill)
        assert more - tokens == task.usage.tokens - stop.usage.tokens


def check_done(drill: Drill, task: TaskReport, undisturbed: Course) -> None:
    """It got to the same end, in whatever steps; what it used up itself is in its report."""
    assert task.state == "completed", task.outcome
    course = drill.course(task)
    assert (course.tree, set(course.results)) == (undisturbed.tree, set(undisturbed.results))
    assert Session(drill.entries(task)).tally.usage.rounded == task.usage


def test_a_task_that_crashed_behind_compactions_can_be_put_back_to_before_them(
    drill: Drill, undisturbed: Course
) -> None:
    assert drill.run_job(point="compaction.committed", visit=2)
    cut = drill.task
    assert min(through for _, through in drill.course(cut).changes if through) > EARLY
    code, said = drill.run("rewind", cut.id, "--turn", str(EARLY))
    assert code == 0, said
    session = Session(drill.entries(cut))
    assert (session.turns(), session.summary) == (list(range(EARLY + 1)), None)
    assert not drill.resume()
    check_done(drill, drill.task, undisturbed)
    assert usage_of(drill.entries(drill.task)) == drill.task.usage
    assert drill.left_overs() == []
    assert all(drill.model.sent[place] == undisturbed.sent[place] for place in range(EARLY + 1))


@pytest.mark.parametrize("behind", [False, True])
def test_a_fork_of_a_task_that_crashed_behind_compactions_begins_with_what_its_turn_saw(
    drill: Drill, undisturbed: Course, *, behind: bool
) -> None:
    turn = undisturbed.changes[1][0] + 1 if behind else EARLY
    assert drill.run_job(point="compaction.committed", visit=2)
    origin = drill.task
    code, said = drill.run("fork", origin.id, "--turn", str(turn), "go on", "--json")
    assert code == 0, said
    [fork] = [task for task in drill.tasks if task.id != origin.id]
    check_done(drill, fork, undisturbed)
    assert Session(until(drill.entries(fork), turn)).messages == Session(until(drill.entries(origin), turn)).messages
    assert not drill.run("resume", origin.id, "--json")[0]
    [origin] = [task for task in drill.tasks if task.id == origin.id]
    check_done(drill, origin, undisturbed)
    assert drill.course(origin).changes == undisturbed.changes
    assert drill.left_overs() == []


def until(entries: list[Entry], turn: int) -> list[Entry]:
    """The entries up to the end of a turn."""
    ends = (place for place, entry in enumerate(entries) if isinstance(entry, Checkpoint) and entry.turn == turn)
    return entries[: next(ends) + 1]
