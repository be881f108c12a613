import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from support.command_line import CommandLine, tool

MENDED = ({"tool_calls": [tool("write", path="clock.txt", content="tick\n")]}, {"text": "It ticks."})
SLOW = ({"tool_calls": [tool("bash", command="sleep 60")]}, {"text": "Never."})
ASKING = ({"tool_calls": [tool("ask", question="Which clock?")]}, {"text": "The red one ticks."})


@pytest.fixture
def ada(user: CommandLine) -> CommandLine:
    user.make_repo({"clock.txt": "still\n"})
    return user


def detach(user: CommandLine, model: str, *more: str) -> dict[str, object]:
    done = user.run("run", "--detach", "--json", "--repo", str(user.repo), "--model", model, *more, "mend the clock")
    assert done.code == 0, done.stderr
    task: dict[str, object] = done.json()
    return task


def worker_of(user: CommandLine, task: object) -> int:
    return int(user.run("show", str(task), "--json").json()["worker"]["pid"])


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_detached_run_is_stored_before_it_returns_and_completes_by_itself(ada: CommandLine) -> None:
    task = detach(ada, ada.script(*MENDED))

    assert task["created"]
    report = ada.wait_for_state(str(task["id"]), "completed")
    assert ada.git("show", f"{report['branch']}:clock.txt") == "tick\n"


def test_a_detached_run_outlives_its_starter_and_the_whole_session_of_that(ada: CommandLine) -> None:
    command = [sys.executable, "-m", "kugetsu", "run", "--detach", "--json", "--model", ada.script(*SLOW)]
    starter = subprocess.Popen(
        [*command, "--repo", str(ada.repo), "wait"], env=ada.environ, stdout=subprocess.PIPE, start_new_session=True
    )
    task = json.loads(starter.communicate(timeout=50)[0])["id"]
    pid = worker_of(ada, task)

    assert os.getsid(pid) == os.getpgid(pid) == pid != starter.pid
    os.kill(pid, signal.SIGHUP)
    assert ada.run("steer", task, "hurry").code == 0
    assert ada.wait_for_state(task, "running")["id"] == task

    assert ada.run("cancel", task).code == 0
    ada.wait_for_state(task, "cancelled")
    wait_until(lambda: gone(pid))


def test_a_key_that_was_given_before_starts_no_second_process(ada: CommandLine) -> None:
    model = ada.script(*SLOW)
    first = detach(ada, model, "--key", "message-1")

    second = detach(ada, model, "--key", "message-1")

    assert (second["id"], second["created"]) == (first["id"], False)
    assert len(ada.tasks()) == 1
    ada.run("cancel", str(first["id"]))
    ada.wait_for_state(str(first["id"]), "cancelled")


def test_an_answered_task_goes_on_in_a_process_of_its_own(ada: CommandLine) -> None:
    task = str(detach(ada, ada.script(*ASKING))["id"])
    ada.wait_for_state(task, "waiting")
    early = ada.run("resume", task, "--detach")
    assert (early.code, "waits for an answer" in early.stderr) == (2, True)

    ada.run("answer", task, "the red one")
    done = ada.run("resume", task, "--detach", "--json")

    assert done.code == 0, done.stderr
    assert ada.wait_for_state(task, "completed")["summary"] == "The red one ticks."


def test_a_detached_run_that_is_killed_goes_on_where_it_stood(ada: CommandLine) -> None:
    task = str(detach(ada, ada.script(*SLOW))["id"])
    ada.wait_for("worktrees/*")
    pid = worker_of(ada, task)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: gone(pid))

    done = ada.run("resume", task, "--detach", "--json")

    assert done.code == 0, done.stderr
    assert ada.wait_for_state(task, "completed")["runs"] == 2


def test_what_cannot_run_is_refused_before_anything_is_stored(ada: CommandLine) -> None:
    done = ada.run("run", "--detach", "--repo", str(ada.repo), "--model", "nobody/nothing", "mend it")

    assert done.code == 2
    assert "nobody" in done.stderr
    assert ada.tasks() == []


def test_short_memory_refuses_a_second_process_and_lets_the_first_go_on(ada: CommandLine) -> None:
    first = detach(ada, ada.script(*SLOW))
    ada.environ |= {"KUGETSU_MACHINE_RESERVE_MB": "100000000"}
    refused = ada.run("run", "--detach", "--json", "--repo", str(ada.repo), "--model", ada.script(*SLOW), "another")
    assert (refused.code, refused.json()["retry_after"] > 0) == (4, True), refused.stderr
    assert "there is no room for a task: memory" in refused.stderr
    assert [task["id"] for task in ada.tasks()] == [first["id"]]
    ada.run("cancel", str(first["id"]))
    ada.wait_for_state(str(first["id"]), "cancelled")
    assert detach(ada, ada.script(*MENDED, name="mended.json"))


def test_a_task_that_is_over_is_not_gone_on_with(ada: CommandLine) -> None:
    task = str(detach(ada, ada.script(*MENDED))["id"])
    ada.wait_for_state(task, "completed")

    done = ada.run("resume", task, "--detach")

    assert (done.code, task in done.stderr) == (2, True)


def test_a_detached_run_that_had_nothing_to_say_leaves_no_log(ada: CommandLine) -> None:
    task = str(detach(ada, ada.script(*MENDED))["id"])
    ada.wait_for_state(task, "completed")

    wait_until(lambda: not list((ada.home / "detached").glob("*.log")))


def test_a_second_process_for_a_task_that_runs_leaves_the_log_of_the_first(ada: CommandLine) -> None:
    task = str(detach(ada, ada.script(*SLOW))["id"])
    log = ada.home / "detached" / f"{task}.log"

    again = ada.run("resume", task, "--detach")

    assert (again.code, log.exists()) == (0, True)
    limited = ada.run("resume", task, "--detach", "--max-turns", "99")
    assert (limited.code, "is being worked on" in limited.stderr) == (2, True)  # nothing is dropped unseen
    ada.run("cancel", task)
    ada.wait_for_state(task, "cancelled")
    wait_until(lambda: not log.exists())


def test_a_key_that_is_given_twice_at_the_same_time_fails_for_nobody(ada: CommandLine) -> None:
    command = [
        "run",
        "--detach",
        "--json",
        "--key",
        "k",
        "--repo",
        str(ada.repo),
        "--model",
        ada.script(*MENDED),
        "mend",
    ]
    starters = [ada.start(*command) for _ in range(3)]
    said = [starter.communicate(timeout=50) for starter in starters]

    assert [starter.returncode for starter in starters] == [0] * 3, said
    assert len({json.loads(out)["id"] for out, _ in said}) == 1


def test_a_key_without_detach_is_refused(ada: CommandLine) -> None:
    done = ada.run("run", "--key", "k", "mend it")

    assert (done.code, "--detach" in done.stderr) == (2, True)
