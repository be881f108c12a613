import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from kugetsu.processes.census import marked
from support.command_line import CommandLine, Done, tool

BEGUN = "worktrees/*/begun"


def submit(user: CommandLine, options: list[str], *more: str, prompt: str = "Do it") -> str:
    done = user.run("submit", prompt, *options, *more)
    assert done.code == 0, done.stderr
    return done.stdout.strip()


def test_what_is_submitted_is_done_by_a_worker(user: CommandLine, quick: list[str]) -> None:
    first = submit(user, quick, "--priority", "-3")
    second = user.run("submit", "-", *quick, "--after", first[:5], "--json", stdin="Then this")
    report = second.json()
    assert (report["state"], report["created"], report["prompt"]) == ("pending", True, "Then this")
    assert "waits for   1 task of " + first in user.run("show", report["id"]).stdout
    served = user.run("serve", "--until-idle", "--slots", "2")
    assert (served.code, served.stdout) == (0, "")
    lines = [line.split(maxsplit=2)[2] for line in served.stderr.splitlines()]
    began = [line for line in lines if ": started with" in line or ": completed: " in line]
    assert [line.partition(" [")[0] for line in began] == [
        f"{first}#1: started with {quick[3]} on {report['repo']}: Do it",
        f"{first}#1 turn 2: completed: the agent finished after 2 turns",
        f"{report['id']}#1: started with {quick[3]} on {report['repo']}: Then this",
        f"{report['id']}#1 turn 2: completed: the agent finished after 2 turns",
    ]
    tasks = user.tasks()
    assert [(task["id"], task["state"], task["priority"]) for task in tasks] == [
        (report["id"], "completed", 0),
        (first, "completed", -3),
    ]


def test_a_submission_says_where_it_stands_and_whether_anybody_works(user: CommandLine, quick: list[str]) -> None:
    done = user.run("submit", "Do it", *quick)
    task = done.stdout.strip()
    assert done.stderr == (
        f"kugetsu: task {task} is pending: it waits for its turn; no worker runs: `kugetsu resume {task}` goes on with it "
        "here, `kugetsu serve` with all\n"
    )
    server = user.start("serve")
    user.wait_for_state(task, "completed")
    later = user.run("submit", "Do it", *quick, "--delay", "2h")
    assert "it waits until" in later.stderr
    assert "no worker" not in later.stderr
    assert "not before" in user.run("list", "-n", "1").stdout
    server.terminate()
    server.communicate(timeout=30)
    assert server.returncode == 0


def test_the_same_key_is_the_same_task(user: CommandLine, quick: list[str]) -> None:
    first = submit(user, quick, "--key", "mine", "--delay", "1h")
    again = user.run("submit", "Do it", *quick, "--key", "mine", "--delay", "1h")
    assert (again.code, again.stdout) == (0, f"{first}\n")
    assert "it was submitted before" in again.stderr
    assert user.run("submit", "Do it", *quick, "--key", "mine", "--json").json()["created"] is False
    other = user.run("submit", "Do something else", *quick, "--key", "mine")
    assert other.code == 2
    assert first in other.stderr
    assert len(user.tasks()) == 1


def test_a_full_queue_says_when_to_come_back(user: CommandLine, quick: list[str]) -> None:
    user.environ["KUGETSU_QUEUE_MOST_PENDING"] = "1"
    submit(user, quick)
    full = user.run("submit", "Do it", *quick)
    assert (full.code, full.stdout) == (4, "")
    assert "the queue is full: 1 tasks are pending" in full.stderr
    assert "try again in 30 seconds" in full.stderr
    told = user.run("submit", "Do it", *quick, "--json")
    assert (told.code, told.json()["retry_after"]) == (4, 30.0)
    assert user.run("run", "Do it", *quick).code == 0
    assert len(user.tasks()) == 2


def test_what_could_never_run_is_refused_at_once(user: CommandLine, quick: list[str]) -> None:
    refusals = [
        (["--after", "zzzz"], "zzzz"),
        (["--delay", "soon"], "'soon' is no length of time"),
        (["--at", "yesterday"], "'yesterday' is no time"),
        (["--at", "2030-01-31", "--delay", "5"], "--delay and --at exclude each other"),
        (["--deadline", "2001-01-01"], "the deadline is over before"),
        (["--deadline", "1h", "--delay", "2h"], "the deadline is over before"),
        (["--priority", "101"], "--priority"),
        (["--model", "nobody/x"], "nobody"),
        (["--repo", "/nowhere/at/all"], "/nowhere/at/all"),
    ]
    for arguments, words in refusals:
        done = user.run("submit", "Do it", *quick, *arguments)
        assert (done.code, done.stdout) == (2, ""), arguments
        assert words in done.stderr
    assert user.tasks() == []


def test_a_task_whose_time_is_over_in_the_queue_fails(user: CommandLine, quick: list[str]) -> None:
    task = submit(user, quick, "--deadline", "2s")
    assert "\ndeadline    2" in user.run("show", task).stdout
    time.sleep(2)
    assert user.run("serve", "--until-idle").code == 0
    (report,) = user.tasks()
    assert (report["state"], report["outcome"]["class"], report["runs"]) == ("failed", "expired", 0)


class TestServing:
    @pytest.fixture
    def task(self, user: CommandLine, job: list[str]) -> str:
        return submit(user, job, prompt="Fix it")

    def ended(self, process: "subprocess.Popen[bytes]") -> Done:
        stdout, stderr = process.communicate(timeout=30)
        return Done(process.returncode, stdout.decode(), stderr.decode())

    def test_a_stop_shows_what_still_runs_and_the_next_server_goes_on(self, user: CommandLine, task: str) -> None:
        user.environ["KUGETSU_QUEUE_GRACE_SECONDS"] = "0.3"
        server = user.start("serve")
        user.wait_for(BEGUN, server)
        server.terminate()
        done = self.ended(server)
        assert done.code == 0, done.stderr
        assert f"stopping (SIGTERM); still running: {task}; interrupted in 0.3 seconds" in done.stderr
        assert ": pending (interrupted): the program was told to stop" in done.stderr
        assert marked("KUGETSU_TASK", task) == set()
        assert user.run("serve", "--until-idle").code == 0
        (report,) = user.tasks()
        assert (report["state"], report["runs"], report["attempts"]) == ("completed", 2, 0)

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_second_signal_ends_at_once(self, user: CommandLine, task: str, number: signal.Signals) -> None:
        server = user.start("serve")
        user.wait_for(BEGUN, server)
        server.send_signal(number)
        with pytest.raises(subprocess.TimeoutExpired):
            server.wait(timeout=0.5)
        server.send_signal(number)
        assert self.ended(server).code == 5
        assert marked("KUGETSU_TASK", task) == set()
        assert user.run("resume", task, "--json").json()["state"] == "completed"

    def test_two_signals_in_a_row_are_one(self, user: CommandLine, task: str) -> None:
        user.environ["KUGETSU_QUEUE_GRACE_SECONDS"] = "0.3"
        server = user.start("serve")
        user.wait_for(BEGUN, server)
        server.terminate()
        server.terminate()
        done = self.ended(server)
        assert (done.code, done.stderr.count("stopping (SIGTERM)")) == (0, 1)
        assert user.tasks()[0]["state"] == "pending"
        assert marked("KUGETSU_TASK", task) == set()

    @pytest.mark.usefixtures("task")
    def test_a_killed_server_loses_nothing(self, user: CommandLine) -> None:
        server = user.start("serve")
        user.wait_for(BEGUN, server)
        server.kill()
        self.ended(server)
        assert user.run("serve", "--until-idle").code == 0
        (report,) = user.tasks()
        assert (report["state"], report["runs"], report["attempts"]) == ("completed", 2, 0)

    def test_what_waits_for_an_answer_keeps_no_server(self, user: CommandLine, repo: Path) -> None:
        turns: list[dict[str, Any]] = [{"tool_calls": [tool("ask", question="Which one?")]}, {"text": "That one."}]
        task = submit(user, ["--repo", str(repo), "--model", user.script(*turns)])
        served = user.run("serve", "--until-idle")
        assert f"{task}#1 turn 1: asks: Which one?" in served.stderr
        assert ": waiting (question): Which one?" in served.stderr
        assert "is pending: it waits for its turn" in user.run("answer", task, "The left one").stdout
        assert user.run("serve", "--until-idle").code == 0
        assert user.tasks()[0]["state"] == "completed"

    def test_a_task_that_cannot_be_run_fails_alone_and_is_named(self, user: CommandLine, quick: list[str]) -> None:
        good = submit(user, quick)
        script = user.script(name="gone.json")
        bad = submit(user, [*quick[:2], "--model", script])
        (user.directory / "gone.json").unlink()
        served = user.run("serve", "--until-idle")
        assert f"task {bad} cannot be run: cannot read the script" in served.stderr
        states = {task["id"]: task["state"] for task in user.tasks()}
        assert states == {good: "completed", bad: "failed"}

    def test_no_more_run_at_once_than_there_are_slots(self, user: CommandLine, repo: Path) -> None:
        turn = {"tool_calls": [tool("bash", command='echo begin >> "$HOME/log"; sleep 0.2; echo end >> "$HOME/log"')]}
        for _ in range(3):
            submit(user, ["--repo", str(repo), "--model", user.script(turn)])
        user.environ["KUGETSU_TOOLS_ENVIRONMENT"] = "HOME"
        assert user.run("serve", "--until-idle", "--slots", "1").code == 0
        assert (user.directory / "log").read_text().split() == ["begin", "end"] * 3


def test_logs_follow_a_task_until_it_is_over(user: CommandLine, quick: list[str]) -> None:
    task = submit(user, quick)
    following = user.start("logs", "-f", task, "--json")
    assert user.run("serve", "--until-idle").code == 0
    stdout, stderr = following.communicate(timeout=30)
    assert (following.returncode, stderr) == (0, b"")
    assert stdout.decode() == user.run("logs", task, "--json").stdout
    assert json.loads(stdout.splitlines()[-1])["type"] == "task_finished"


def test_logs_follow_a_task_until_its_worker_has_died(user: CommandLine, job: list[str]) -> None:
    process = user.start("run", "Fix it", *job)
    user.wait_for(BEGUN, process)
    (task,) = user.tasks()
    following = user.start("logs", "-f", task["id"])
    time.sleep(1.5)  # what happens is written down within a second
    process.kill()
    process.communicate(timeout=30)
    stdout, stderr = following.communicate(timeout=30)
    assert following.returncode == 0
    assert "bash: touch begun" in stdout.decode()
    assert f"`kugetsu resume {task['id']}` goes on with it here" in stderr.decode()


def test_the_diff_of_a_task_that_is_not_over_is_that_of_its_worktree(user: CommandLine, job: list[str]) -> None:
    task = submit(user, job)
    early = user.run("diff", task)
    assert early.code == 2
    assert "has no branch yet" in early.stderr
    user.run("cancel", task)
    cut = user.killed("run", "Fix it", *job, at=BEGUN)
    shown = user.run("diff", cut["id"])
    assert (shown.code, shown.stderr) == (0, "")
    assert "+++ b/new.txt\n@@ -0,0 +1 @@\n+n\n" in shown.stdout


def test_the_list_shows_the_states_that_are_asked_for(user: CommandLine, quick: list[str]) -> None:
    first, second = submit(user, quick), submit(user, quick)
    user.run("pause", first)
    user.run("cancel", second)
    assert [task["id"] for task in user.tasks("--state", "paused", "--state", "cancelled")] == [second, first]
    assert [task["id"] for task in user.tasks("--state", "paused")] == [first]
    assert user.tasks("--state", "running") == []
