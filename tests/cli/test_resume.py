import json
import signal
import subprocess
from pathlib import Path

import pytest

from kugetsu.processes.census import marked
from support.command_line import CommandLine, tool

BEGUN = "worktrees/*/begun"


def test_a_run_that_was_killed_in_a_command_goes_on_and_ends_as_any_other(user: CommandLine, job: list[str]) -> None:
    cut = user.killed("run", "Fix it", *job, at=BEGUN)
    assert (cut["state"], cut["outcome"]["class"]) == ("pending", "interrupted")
    shown = user.run("show", cut["id"], "--json").json()
    assert (shown["turns"], shown["summary"], shown["usage"]["input"]) == (2, "This takes long.", 100)
    done = user.run("resume", cut["id"][:6], "--json")
    assert done.code == 0, done.stderr
    report = done.json()
    assert set(report) == set(cut)
    assert (report["id"], report["state"], report["runs"], report["attempts"]) == (cut["id"], "completed", 2, 0)
    assert (report["turns"], report["tool_calls"], report["check"]["passed"]) == (4, 3, True)
    assert report["usage"] == {"input": 300, "output": 30, "cached": 0, "cost_usd": 0.0}
    assert [commit["subject"] for commit in report["commits"]] == ["Fix it"]
    assert (
        user.git("show", f"{report['branch']}:a.txt") + user.git("show", f"{report['branch']}:new.txt") == "a fix\nn\n"
    )
    assert "goes on after turn 2 (run 2): its worker died" in done.stderr
    assert user.run("logs", cut["id"], "--session").stdout.count("Interrupted: ") == 1
    assert marked("KUGETSU_TASK", cut["id"]) == set()


def test_what_goes_on_streams_its_events_and_prints_details_as_run_does(user: CommandLine, job: list[str]) -> None:
    cut = user.killed("run", "Fix it", *job, at=BEGUN)
    last = json.loads(user.run("logs", cut["id"], "--json").stdout.splitlines()[-1])
    done = user.run("resume", cut["id"], "--json-events")
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert events[0]["type"] == "task_resumed"
    assert (events[0]["turn"], events[0]["usage"]["input"]) == (2, 100)
    assert [event["seq"] for event in events] == [*range(last["seq"] + 1, last["seq"] + 1 + len(events))]
    assert events[-1]["type"] == "task_finished"
    assert "outcome     completed: the agent finished after 4 turns" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_stop_interrupts_what_takes_too_long_and_says_how_to_go_on(
    user: CommandLine, job: list[str], number: signal.Signals
) -> None:
    user.environ["KUGETSU_QUEUE_GRACE_SECONDS"] = "0.3"
    process = user.start("run", "Fix it", *job, "--json")
    user.wait_for(BEGUN, process)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=30)
    report = json.loads(stdout)
    assert process.returncode == 5, stderr.decode()
    assert (report["state"], report["outcome"]["class"], report["turns"]) == ("pending", "interrupted", 2)
    assert f"`kugetsu resume {report['id']}`" in stderr.decode()
    assert marked("KUGETSU_TASK", report["id"]) == set()
    done = user.run("resume", report["id"], "--json")
    assert (done.code, done.json()["state"], done.json()["attempts"]) == (0, "completed", 0)


def test_a_stop_lets_the_agent_end_its_turn(user: CommandLine, repo: object) -> None:
    short = {"tool_calls": [{"name": "bash", "arguments": {"command": "touch begun; sleep 1; echo whole"}}]}
    process = user.start("run", "Do it", "--repo", str(repo), "--model", user.script(short), "--json")
    user.wait_for(BEGUN, process)
    process.terminate()
    stdout, _ = process.communicate(timeout=30)
    report = json.loads(stdout)
    assert (process.returncode, report["state"], report["outcome"]["class"]) == (5, "pending", "interrupted")
    conversation = user.run("logs", report["id"], "--session").stdout
    assert "whole" in conversation
    assert "Interrupted" not in conversation
    assert user.run("resume", report["id"]).code == 0


def test_a_second_stop_ends_at_once_and_the_task_goes_on_all_the_same(user: CommandLine, job: list[str]) -> None:
    process = user.start("run", "Fix it", *job)
    user.wait_for(BEGUN, process)
    process.terminate()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.5)
    process.terminate()
    _, stderr = process.communicate(timeout=5)
    assert process.returncode == 5
    assert b"stopped at once" in stderr
    (task,) = user.tasks()
    assert marked("KUGETSU_TASK", task["id"]) == set()
    assert user.run("resume", task["id"], "--json").json()["state"] == "completed"


def test_only_one_works_on_a_task(user: CommandLine, job: list[str]) -> None:
    process = user.start("run", "Fix it", *job)
    user.wait_for(BEGUN, process)
    (task,) = user.tasks()
    refused = user.run("resume", task["id"])
    assert refused.code == 2
    assert f"is being worked on by kugetsu run (process {process.pid})" in refused.stderr
    shown = user.run("show", task["id"])
    assert f"goes on in kugetsu run, process {process.pid}" in shown.stdout
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 3


def test_what_is_let_go_on_in_the_queue_waits_for_a_worker(user: CommandLine, job: list[str]) -> None:
    cut = user.killed("run", "Fix it", *job, at=BEGUN)
    assert "is paused" in user.run("pause", cut["id"]).stdout
    said = user.run("resume", cut["id"], "--queue").stdout
    assert "is pending: it waits for its turn; no worker runs" in said
    assert user.run("serve", "--until-idle").code == 0
    assert user.tasks()[0]["state"] == "completed"


def test_a_task_that_was_paused_at_a_limit_goes_on_with_more(user: CommandLine, repo: Path) -> None:
    script = user.script(*[{"tool_calls": [tool("ls", path=".", limit=n + 1)]} for n in range(5)])
    stopped = user.run("run", "Fix", "--repo", str(repo), "--model", script, "--max-turns", "2", "--json")
    assert (stopped.code, stopped.json()["state"]) == (5, "paused")
    task = stopped.json()["id"]
    again = user.run("resume", task, "--max-turns", "3", "--json")
    assert (again.code, again.json()["state"], again.json()["turns"]) == (5, "paused", 3)
    assert "is pending" in user.run("resume", task, "--queue", "--max-turns", "9").stdout
    assert user.run("serve", "--until-idle").code == 0
    (report,) = user.tasks()
    assert (report["state"], report["turns"]) == ("completed", 6)
    refused = user.run("resume", task, "--max-turns", "-1")
    assert refused.code == 2
