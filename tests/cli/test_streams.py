"""Outputs that are closed, full or read no further: messages and exit codes, never a traceback."""

import subprocess
import sys

import pytest

from support.command_line import CommandLine


def shell(user: CommandLine, line: str) -> "subprocess.CompletedProcess[bytes]":
    """Run a line of bash in which `K` is the program."""
    script = f'K() {{ "{sys.executable}" -m kugetsu "$@"; }}; set -o pipefail; {line}'
    return subprocess.run(
        ["bash", "-c", script], env=user.environ, cwd=user.directory, capture_output=True, check=False, timeout=50
    )


@pytest.fixture
def run(user: CommandLine) -> str:
    repo = user.make_repo({"a.txt": "a\n"})
    return f"K run 'Do it' --repo '{repo}' --model '{user.script()}' --json"


def test_a_full_device_is_a_failure_with_a_message(user: CommandLine, run: str) -> None:
    done = shell(user, f"{run} > /dev/full")
    assert done.returncode == 1
    assert b"No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_a_closed_stream_stops_no_task(user: CommandLine, run: str, closed: str) -> None:
    done = shell(user, f"{run} {closed}")
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    assert [task["state"] for task in user.run("list", "--json").json()["tasks"]] == ["completed"]


@pytest.mark.parametrize("command", ["list", "--help", "demo --help", "config"])
def test_who_stops_reading_causes_no_error(user: CommandLine, command: str) -> None:
    done = shell(user, f"K {command} | true")
    assert done.returncode == 0
    assert done.stderr == b""


def test_a_task_counts_also_when_nobody_reads_about_it(user: CommandLine, run: str) -> None:
    assert shell(user, f"{run} 2>/dev/null | true").returncode == 0
    assert shell(user, f"{run} --check false 2>/dev/null | true").returncode == 1


def test_a_current_directory_that_is_gone_is_no_traceback(user: CommandLine) -> None:
    done = shell(user, 'mkdir gone; cd gone; rmdir "$PWD"; K run x --model scripted:x.json')
    assert done.returncode in {1, 2}
    assert b"Traceback" not in done.stderr


def test_a_diff_can_be_had_as_json(user: CommandLine, run: str) -> None:
    shell(user, run)
    (task,) = user.run("list", "--json").json()["tasks"]
    shown = user.run("diff", task["id"], "--json").json()
    assert (shown["id"], shown["branch"], shown["diff"]) == (task["id"], task["branch"], "")


def test_where_a_kept_worktree_is_stands_in_the_report(user: CommandLine, run: str) -> None:
    shell(user, f"{run} --keep-worktree")
    (task,) = user.run("list", "--json").json()["tasks"]
    (worktree,) = (user.home / "worktrees").iterdir()
    assert f"The worktree is kept in {worktree}." in task["notes"]


def test_where_the_branch_of_a_url_is_stands_in_the_report(user: CommandLine) -> None:
    repo = user.make_repo({"a.txt": "a\n"})
    script = user.script({"tool_calls": [{"name": "write", "arguments": {"path": "a.txt", "content": "b\n"}}]})
    report = user.run("run", "Do it", "--repo", repo.as_uri(), "--model", script, "--json").json()
    (note,) = (note for note in report["notes"] if "git fetch" in note)
    command = note.partition("git fetch ")[2].split()
    user.git("fetch", "-q", *command)
    assert user.git("show", "FETCH_HEAD:a.txt") == "b\n"


def test_the_settings_of_a_repository_count_from_a_subdirectory(user: CommandLine) -> None:
    repo = user.make_repo({"kugetsu.toml": 'check = "exit 9"\n', "sub/a.txt": "a\n"})
    done = user.run("run", "Do it", "--model", user.script(), "--json", cwd=repo / "sub")
    assert (done.code, done.json()["check"]["exit_code"]) == (1, 9)
