import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from kugetsu.engine.worker import TICK_SECONDS
from kugetsu.processes.census import marked
from support.command_line import CommandLine, tool

BEGUN = "worktrees/*/begun"


def submitted(user: CommandLine, options: list[str]) -> str:
    return user.run("submit", "Do it", *options).stdout.strip()


def test_a_running_task_rests_after_its_turn_and_goes_on_when_it_is_told_to(user: CommandLine, repo: Path) -> None:
    command = "touch begun; until [ -e go ]; do sleep 0.05; done; echo whole"
    turn = {"text": "Slow.", "tool_calls": [tool("bash", command=command)]}
    process = user.start("run", "Do it", "--repo", str(repo), "--model", user.script(turn), "--json")
    begun = user.wait_for(BEGUN, process)
    (task,) = user.tasks()
    assert "is being paused: its agent ends its turn" in user.run("pause", task["id"]).stdout
    time.sleep(4 * TICK_SECONDS)  # its worker must have heard of it
    begun.with_name("go").touch()
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, json.loads(stdout)["state"]) == (5, "paused")
    assert f"is paused: `kugetsu resume {task['id']}` lets it go on" in stderr.decode()
    assert user.run("pause", task["id"], "--json").json()["state"] == "paused"
    done = user.run("resume", task["id"], "--json")
    assert (done.code, done.json()["state"], done.json()["tool_calls"]) == (0, "completed", 1)


def test_a_running_task_can_be_cancelled_from_elsewhere(user: CommandLine, job: list[str]) -> None:
    process = user.start("run", "Fix it", *job, "--json")
    user.wait_for(BEGUN, process)
    (task,) = user.tasks()
    said = user.run("cancel", task["id"], "--reason", "not needed")
    assert "is being cancelled" in said.stdout
    stdout, _ = process.communicate(timeout=30)
    report = json.loads(stdout)
    assert (process.returncode, report["outcome"]) == (3, {"class": "cancelled", "message": "not needed"})
    assert marked("KUGETSU_TASK", task["id"]) == set()


def test_the_cancel_of_an_interrupted_task_brings_its_work_home(user: CommandLine, job: list[str]) -> None:
    cut = user.killed("run", "Fix it", *job, at=BEGUN)
    report = user.run("cancel", cut["id"], "--json").json()
    assert (report["state"], report["outcome"]["class"]) == ("cancelled", "cancelled")
    assert user.git("show", f"{report['branch']}:new.txt") == "n\n"
    assert marked("KUGETSU_TASK", cut["id"]) == set()
    assert list((user.home / "worktrees").iterdir()) == []
    assert user.run("cancel", cut["id"]).code == 0


def test_a_cancel_needs_no_model(user: CommandLine, job: list[str]) -> None:
    cut = user.killed("run", "Fix it", *job, at=BEGUN)
    (user.directory / "work.json").unlink()
    report = user.run("cancel", cut["id"], "--json").json()
    assert report["state"] == "cancelled"
    assert user.git("show", f"{report['branch']}:new.txt") == "n\n"


def test_a_task_that_was_not_started_is_cancelled_at_once(user: CommandLine, quick: list[str]) -> None:
    task = submitted(user, quick)
    said = user.run("cancel", task)
    assert f"task {task} is cancelled (cancelled by the user): `kugetsu retry {task}` tries it again" in said.stdout
    assert "is pending" in user.run("retry", task).stdout


def test_a_failed_task_is_tried_again_with_what_was_tried_in_mind(user: CommandLine, repo: Path) -> None:
    script = user.script(
        {"text": "I think that is it."},
        {"text": "Now really.", "tool_calls": [tool("write", path="b.txt", content="b\n")]},
        {"text": "Done."},
    )
    failed = user.run("run", "Do it", "--repo", str(repo), "--model", script, "--check", "cat b.txt", "--json")
    assert failed.code == 1
    task = failed.json()["id"]
    refused = user.run("resume", task)
    assert refused.code == 2
    assert "kugetsu retry" in refused.stderr
    assert "it waits for its turn; no worker runs" in user.run("retry", task).stdout
    done = user.run("resume", task, "--json")
    assert (done.code, done.json()["turns"], done.json()["runs"]) == (0, 3, 2)
    conversation = user.run("logs", task, "--session").stdout
    assert "An earlier attempt at this task ended without success" in conversation
    assert "cat: b.txt: No such file" in conversation


def test_a_task_that_rests_hears_what_it_was_told_when_it_goes_on(user: CommandLine, job: list[str]) -> None:
    cut = user.killed("run", "Fix it", *job, at=BEGUN)
    for _ in range(2):
        assert user.run("steer", cut["id"], "Mind the\nother one.", "--key", "once").code == 0
    assert user.run("steer", cut["id"], "-", "--follow-up", stdin="One more thing.").code == 0
    assert user.run("resume", cut["id"]).code == 0
    conversation = user.run("logs", cut["id"], "--session").stdout
    assert conversation.count("Mind the\nother one.") == 1
    assert conversation.index("I fixed a.txt.") < conversation.index("One more thing.")


def test_another_priority_shows_in_the_list(user: CommandLine, quick: list[str]) -> None:
    task = submitted(user, quick)
    assert "priority" not in user.run("list").stdout
    assert user.run("priority", task, "-5", "--json").json()["priority"] == -5
    assert user.run("list").stdout.split()[:3] == ["id", "state", "priority"]
    assert "priority    -5" in user.run("show", task).stdout
    for wrong in ("101", "high"):
        assert user.run("priority", task, wrong).code == 2


@pytest.fixture
def completed(user: CommandLine, quick: list[str]) -> dict[str, Any]:
    report: dict[str, Any] = user.run("run", "Do it", *quick, "--json").json()
    return report


def test_what_makes_no_sense_is_refused_with_what_does(user: CommandLine, completed: dict[str, Any]) -> None:
    task = completed["id"]
    refusals = [
        (["pause", task], f"task {task} is completed and cannot be paused", "kugetsu fork"),
        (["resume", task], f"task {task} is completed and cannot be resumed", "kugetsu fork"),
        (["retry", task], f"task {task} is completed and cannot be tried again", "kugetsu fork"),
        (["cancel", task], f"task {task} is completed and cannot be cancelled", "kugetsu fork"),
        (["steer", task, "x"], f"task {task} is completed and cannot be told anything", "kugetsu fork"),
        (["steer", task, " "], "the text is empty", "stdin"),
        (["answer", task, "x"], f"task {task} is completed and asks nothing", "kugetsu fork"),
        (["priority", task, "5"], f"task {task} is completed and cannot get another priority", "kugetsu fork"),
        (["rewind", task, "--turn", "9"], f"task {task} has no turn 9", "its turns are 0 to 2"),
        (["fork", task, "--turn", "9", "x"], f"task {task} has no turn 9", "its turns are 0 to 2"),
        (["fork", task, "--turn", "1", " "], "the prompt is empty", "stdin"),
        (["rewind", task], "--turn", ""),
        (["logs", task, "-f", "--full"], "-f follows what happens", "leave out"),
    ]
    for arguments, words, fix in refusals:
        done = user.run(*arguments)
        assert (done.code, done.stdout) == (2, ""), arguments
        assert words in done.stderr, arguments
        assert fix in done.stderr, arguments
        assert "Traceback" not in done.stderr
    assert user.tasks() == [completed]


def test_a_task_that_does_not_exist_is_wrong_usage(user: CommandLine) -> None:
    for arguments in (["pause"], ["resume"], ["cancel"], ["rewind", "--turn", "1"], ["fork", "--turn", "1", "x"]):
        done = user.run(arguments[0], "zzzz", *arguments[1:])
        assert (done.code, done.stdout) == (2, ""), arguments
        assert "zzzz" in done.stderr


def test_ctrl_c_reaches_a_task_that_goes_on(user: CommandLine, job: list[str]) -> None:
    cut = user.killed("run", "Fix it", *job[:2], "--model", user.script(*[slow()] * 2), at=BEGUN)
    begun = user.wait_for(BEGUN)
    begun.unlink()
    process = user.start("resume", cut["id"], "--json")
    user.wait_for(BEGUN, process)
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate(timeout=30)
    assert (process.returncode, json.loads(stdout)["state"]) == (3, "cancelled")


def slow() -> dict[str, Any]:
    return {"tool_calls": [tool("bash", command="touch begun; sleep 300")]}
