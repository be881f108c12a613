"""The commands that users of the original Kugetsu know."""

import json
from pathlib import Path
from typing import Any

import pytest

from support.command_line import CommandLine, Done, tool

ISSUE = "forge.example/team/tool#7"


@pytest.fixture
def project(user: CommandLine, repo: Path) -> CommandLine:
    """A user whose settings know the repository of an issue."""
    config = user.directory / ".config" / "kugetsu" / "kugetsu.toml"
    config.parent.mkdir(parents=True)
    script = user.script(
        {"text": "Hm.", "tool_calls": [tool("ask", question="Which one?")]},
        {"text": "Writing.", "tool_calls": [tool("write", path="new.txt", content="n\n")]},
        {"text": "I wrote it."},
    )
    config.write_text(f'model = "{script}"\n[projects."forge.example/team/tool"]\nrepo = "{repo}"\n')
    return user


def said(user: CommandLine, task: str) -> str:
    return user.run("context", task).stdout


def goes_on(user: CommandLine, *arguments: str) -> dict[str, Any]:
    done = user.run("continue", *arguments, "--json")
    assert done.code == 0, done.stderr
    task: dict[str, Any] = done.json()
    return task


def test_an_issue_is_worked_on_and_its_question_is_answered(project: CommandLine) -> None:
    task = project.run("start", "team/tool#7", "Write it", "--priority", "3").stdout.strip()
    refused = project.run("start", ISSUE, "Write it twice")
    assert (refused.code, refused.stdout) == (2, "")
    assert f"the task {task} about {ISSUE} is pending" in refused.stderr
    assert f"kugetsu continue {task}" in refused.stderr
    assert f"task {task} is pending" in project.run("status", ISSUE).stdout
    assert project.run("resume", ISSUE).code == 5
    asks = project.run("continue", ISSUE)
    assert asks.code == 5
    assert "waits for an answer to: Which one?" in asks.stdout
    assert "asks: Which one?" in project.run("status").stdout
    assert goes_on(project, ISSUE, "The left one")["state"] == "pending"
    assert project.run("resume", ISSUE, "--json").json()["state"] == "completed"
    assert "The left one" in said(project, ISSUE)


def test_where_a_completed_task_ended_another_one_begins(user: CommandLine, quick: list[str]) -> None:
    task = user.run("run", "Write it", *quick, "--subject", ISSUE, "--json").json()["id"]
    assert "is completed" in user.run("continue", ISSUE).stdout
    forked = goes_on(user, ISSUE, "Make it better")
    assert (forked["forked_from"], forked["state"], forked["subject"]) == (f"{task}:2", "pending", ISSUE)
    for name in (ISSUE, task):
        assert goes_on(user, name, "Make it better")["id"] == forked["id"]
    better = user.run("resume", ISSUE, "--json").json()
    assert (better["id"], better["state"]) == (forked["id"], "completed")
    assert said(user, ISSUE).count("Make it better") == 1
    assert user.git("show", f"{better['branch']}:new.txt") == "n\n"
    over = user.run("destroy", ISSUE)
    assert over.code == 0
    assert f"it was over already; its branch {better['branch']} stays" in over.stderr
    assert user.git("branch", "--list", better["branch"])


def test_an_issue_without_a_task_gets_its_first(project: CommandLine) -> None:
    nothing = project.run("continue", ISSUE)
    assert (nothing.code, nothing.stdout) == (2, "")
    begun = goes_on(project, ISSUE, "Write it", "--max-turns", "7")
    assert (begun["prompt"], begun["subject"], begun["limits"]["turns"]) == ("Write it", ISSUE, 7)
    assert goes_on(project, ISSUE, "Write it")["id"] == begun["id"]
    assert [task["id"] for task in project.tasks()] == [begun["id"]]
    assert project.run("continue", "zzzz", "Write it").code == 2


def test_what_rests_goes_on_and_hears_a_message_once(user: CommandLine, quick: list[str]) -> None:
    task = user.run("delegate", "Do it", *quick).stdout.strip()
    user.run("pause", task)
    for _ in range(2):
        assert goes_on(user, task, "Mind the other one")["state"] == "pending"
    user.run("cancel", task)
    again = goes_on(user, task, "Mind the other one")
    assert (again["state"], again["outcome"]["class"]) == ("pending", "cancelled")
    user.run("pause", task)
    assert goes_on(user, task, "--max-turns", "9")["limits"]["turns"] == 9
    assert user.run("resume", task, "--json").json()["state"] == "completed"
    assert said(user, task).count("Mind the other one") == 1


def test_destroy_ends_a_task_and_keeps_its_branch(user: CommandLine, job: list[str]) -> None:
    cut = user.killed("run", "Fix it", *job, at="worktrees/*/begun")
    gone = user.run("destroy", cut["id"], "--reason", "no more", "--json").json()
    assert (gone["state"], gone["outcome"]["message"]) == ("cancelled", "no more")
    assert user.git("show", f"{gone['branch']}:new.txt") == "n\n"
    assert list((user.home / "worktrees").iterdir()) == []
    assert user.run("destroy", "zzzz").code == 2


def test_the_queue_is_listed_counted_and_cleared(project: CommandLine, quick: list[str], job: list[str]) -> None:
    begun = project.killed("run", "Fix it", *job, at="worktrees/*/begun")["id"]
    first = project.run("queue", "enqueue", ISSUE, "Do it").stdout.strip()
    assert project.run("queue", "enqueue", "-", *quick).code == 2
    second = project.run("queue", "enqueue", "Do that", *quick, "--delay", "1h").stdout.strip()
    listed = project.run("queue", "list", "--json").json()["tasks"]
    assert [(task["id"], task["subject"]) for task in listed] == [(second, ""), (first, ISSUE), (begun, "")]
    assert "tasks       3 pending\n" in project.run("queue", "stats").stdout
    assert project.run("queue", "clear").stdout == "2 tasks cancelled; 1 pending that had begun stay\n"
    assert project.run("queue", "clear", "--json").json() == {"cancelled": [], "begun": [begun]}
    assert project.run("show", first, "--json").json()["outcome"]["message"] == "the queue was cleared"
    assert [task["id"] for task in project.run("queue", "list", "--json").json()["tasks"]] == [begun]
    assert project.run("queue", "enqueue", "a", "b", "c").code == 2


def test_the_overview_says_that_no_server_is_there(user: CommandLine, quick: list[str]) -> None:
    empty = user.run("status")
    assert empty.code == 0
    assert f"server      none; this is what is kept in {user.home}\ntasks       none\n" in empty.stdout
    assert "`kugetsu serve` works on the queue" in empty.stdout
    assert not user.home.exists()
    user.run("delegate", "Do it", *quick)
    told = user.run("status", "--json").json()
    assert (told["server"], told["stats"]["tasks"]["pending"], told["tasks"]) == ("", 1, [])
    stats = user.run("stats", "--json").json()
    assert (stats["tasks"]["pending"], stats["served"]) == (1, False)


def test_both_names_of_a_command_do_the_same(user: CommandLine, quick: list[str]) -> None:
    one, other = (user.run(name, "--help").stdout.partition("Options:")[2] for name in ("submit", "delegate"))
    assert one == other
    done: Done = user.run("delegate", "Do it", *quick, "--json")
    assert json.loads(done.stdout)["created"] is True
