import json
from pathlib import Path

import pytest

from support.command_line import CommandLine, tool


@pytest.fixture
def finished(user: CommandLine) -> list[dict[str, object]]:
    repo = user.make_repo({"a.txt": "old\n"})
    script = user.script({"text": "Writing.", "tool_calls": [tool("write", path="a.txt", content="new\n")]})
    return [user.run("run", f"Task {n}", "--repo", str(repo), "--model", script, "--json").json() for n in range(2)]


def test_list_shows_the_newest_first(user: CommandLine, finished: list[dict[str, object]]) -> None:
    listed = user.run("list", "--json").json()["tasks"]
    assert [task["id"] for task in listed] == [finished[1]["id"], finished[0]["id"]]
    assert listed[0] == finished[1]
    assert "Task 1" in user.run("list").stdout


def test_a_unique_beginning_of_the_id_is_enough(user: CommandLine, finished: list[dict[str, object]]) -> None:
    task_id = str(finished[0]["id"])
    other = str(finished[1]["id"])
    length = next(n for n in range(1, 11) if task_id[:n] != other[:n])
    shown = user.run("show", task_id[:length], "--json").json()
    assert {name: shown[name] for name in finished[0]} == finished[0]


def test_show_diff_and_logs_tell_what_was_done(user: CommandLine, finished: list[dict[str, object]]) -> None:
    task_id, branch = str(finished[0]["id"]), str(finished[0]["branch"])
    shown = user.run("show", task_id)
    assert branch in shown.stdout
    assert "completed" in shown.stdout
    patch = user.run("diff", task_id).stdout
    assert "-old\n+new\n" in patch
    logs = user.run("logs", task_id).stdout
    assert "write" in logs
    for flag in ("--session", "--full"):
        conversation = user.run("logs", task_id, flag).stdout
        assert "Task 0" in conversation
        assert "── turn 1: " in conversation
        assert "Writing." in conversation
    lines = [json.loads(line) for line in user.run("logs", task_id, "--json").stdout.splitlines()]
    assert lines[0]["type"] == "task_started"
    assert lines[-1]["type"] == "task_finished"


@pytest.mark.parametrize("command", ["show", "diff", "logs"])
def test_an_unknown_task_is_wrong_usage(user: CommandLine, command: str) -> None:
    done = user.run(command, "zzzz")
    assert done.code == 2
    assert "zzzz" in done.stderr


def test_an_empty_list_is_a_list(user: CommandLine) -> None:
    assert user.run("list", "--json").json() == {"tasks": []}
    assert user.run("list").code == 0


def test_a_diff_whose_branch_is_gone_says_so(user: CommandLine, finished: list[dict[str, object]]) -> None:
    user.git("branch", "-D", str(finished[0]["branch"]))
    done = user.run("diff", str(finished[0]["id"]))
    assert done.code == 2
    assert str(finished[0]["branch"]) in done.stderr


def test_output_into_a_closed_pipe_is_no_error(user: CommandLine, finished: list[dict[str, object]]) -> None:
    process = user.start("logs", str(finished[0]["id"]), "--full")
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    errors = process.stderr.read().decode()
    process.stderr.close()
    process.wait(timeout=30)
    assert "Traceback" not in errors


def test_the_state_directory_may_be_anywhere(user: CommandLine, tmp_path: Path) -> None:
    user.environ["KUGETSU_HOME"] = str(tmp_path / "a b" / "ü")
    assert user.run("list", "--json").json() == {"tasks": []}
    assert not (tmp_path / "a b").exists()
