"""A daemon with many tasks is killed again and again; and one that was stopped comes back after its time."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from kugetsu.sessions import Finished, Session
from kugetsu.tasks import TaskReport
from support.drill import THOUGHTS, Drill, bash, changes_of, kill, look, once, usage_of
from support.patient_model import PatientModel, Plan

TASKS = int(os.environ.get("KUGETSU_DRILL_TASKS", "200"))
KILLS = int(os.environ.get("KUGETSU_DRILL_KILLS", "30"))
SLOTS = "20"

SHORT: Plan = [
    [{"name": "write", "arguments": {"path": "made.txt", "content": "made\n"}}],
    [bash(f"{once('one')}; sleep 0.05; git add -A; git commit -qm one || true")],
    *([look(part)] for part in range(3)),
    [bash(once("two")), {"name": "read", "arguments": {"path": "made.txt"}}],
    *([look(part)] for part in range(3, 5)),
    [bash(f"{once('three')}; sleep 0.3")],
    [{"name": "edit", "arguments": {"path": "made.txt", "edits": [{"oldText": "made", "newText": "done"}]}}],
    [bash(f"{once('four')}; sleep 0.2")],
    [bash("cat effects.log")],
]
"""Enough to read for a pruning and a compaction."""


def serve(drill: Drill, *more: str) -> "subprocess.Popen[bytes]":
    return drill.start("serve", "--slots", SLOTS, *more)


def submit_all(drill: Drill, number: int, check: str) -> None:
    """Put tasks into the queue from one program, which is what a gateway does."""
    program = (
        "import asyncio, os, sys\n"
        "from kugetsu.app.desk import submit\n"
        "from kugetsu.app.house import House\n"
        "from kugetsu.config import load_settings, state_home\n"
        "async def main():\n"
        "    settings = load_settings(environ=os.environ).settings\n"
        "    async with House(settings, state_home(os.environ), os.environ) as house:\n"
        "        for n in range(int(sys.argv[2])):\n"
        "            await submit(house, house.task(sys.argv[1], f'job {n}', check=sys.argv[3], queued=True))\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, drill.user.repo, str(number), check],
        env=drill.user.environ,
        cwd=drill.user.directory,
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode()


def check_task(drill: Drill, task: TaskReport, tree: str) -> list[int]:
    """Nothing is lost or done twice; returns the prunings (0) and compactions of it."""
    assert task.state == "completed", (task.id, task.outcome)
    assert drill.tree(task) == tree
    assert drill.deliveries(task) == 1
    entries = drill.entries(task)
    finished = Counter(entry.result.call_id for entry in entries if isinstance(entry, Finished))
    assert set(finished.values()) == {1}
    session = Session(entries)
    assert session.open is None
    assert session.tally.turns == task.turns
    assert usage_of(entries) == task.usage
    return [through for _, through in changes_of(entries)]


@pytest.mark.timeout(3600)
def test_a_daemon_that_is_killed_at_random_moments_loses_nothing_and_does_nothing_twice(tmp_path: Path) -> None:
    with PatientModel(SHORT, thoughts=THOUGHTS) as model:
        drill = Drill(tmp_path, model)
        submit_all(drill, TASKS, "test -f made.txt")
        kills, over = 0, 0
        # The last ones are left alone: a task that is there alone when three workers die is rightly set aside.
        while kills < KILLS and over < TASKS - int(SLOTS):
            daemon = serve(drill)
            time.sleep(random.uniform(0.6, 2.0))  # noqa: S311 - a moment, no secret
            assert daemon.poll() is None, daemon.communicate()
            kill(daemon)
            kills += 1
            over = sum(task.state == "completed" for task in drill.tasks)
        code, said = drill.run("serve", "--slots", SLOTS, "--until-idle", seconds=280)
        assert code == 0, said
        tasks = drill.tasks
        assert kills >= KILLS, f"nearly all was done after {kills} kills: give it more tasks"
        assert [(task.id, task.runs, task.outcome) for task in tasks if task.state != "completed"] == []
        assert len(tasks) == TASKS
        [expected] = {drill.tree(task) for task in tasks}
        changes = [check_task(drill, task, expected) for task in tasks]
        assert drill.left_overs() == []
        assert sum(task.turns for task in tasks) == len(model.paid)
        assert all(changes)
        assert {bool(through) for kinds in changes for through in kinds} == {True, False}
        assert sum(task.usage.tokens for task in tasks) == model.used.tokens


@pytest.mark.timeout(180)
def test_a_worker_that_was_stopped_beyond_its_lease_writes_nothing_and_sends_nothing(tmp_path: Path) -> None:
    long = "touch begun; sleep 4; echo zombie >> effects.log"
    with PatientModel([[bash(f"test -e begun || {{ {long}; }}")], [bash(once("after"))]]) as model:
        drill = Drill(tmp_path, model)
        submit_all(drill, 1, "test -f begun")
        zombie = serve(drill)
        try:
            deadline = time.monotonic() + 30
            while not list((drill.user.home / "worktrees").glob("*/begun")):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            os.kill(zombie.pid, signal.SIGSTOP)
            # A second daemon is refused on one machine; several machines that share a directory may not see the lock.
            (drill.user.home / "serve.lock").unlink()
            code, said = drill.run("serve", "--until-idle", seconds=60)
            assert code == 0, said
            before = drill.task
            entries, paid, deliveries = drill.entries(before), dict(model.paid), drill.deliveries(before)
            assert before.state == "completed"
            assert "zombie" not in drill.user.git("show", f"{before.branch}:effects.log")
            os.kill(zombie.pid, signal.SIGCONT)
            time.sleep(6)
            assert drill.task == before
            assert drill.entries(before) == entries
            assert (dict(model.paid), drill.deliveries(before)) == (paid, deliveries)
            assert drill.left_overs() == []
        finally:
            os.kill(zombie.pid, signal.SIGCONT)
            zombie.terminate()
            _, said_bytes = zombie.communicate(timeout=30)
        assert zombie.returncode == 0, said_bytes.decode()
        assert "lost" in said_bytes.decode()
