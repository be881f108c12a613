"""`kugetsu prune` as a user runs it."""

import os
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from support.command_line import CommandLine, tool

WRITE: list[dict[str, Any]] = [
    {"tool_calls": [tool("write", path="new.txt", content="n\n")]},
    {"text": "I wrote it."},
]


@pytest.fixture
def done(user: CommandLine, quick: list[str]) -> dict[str, Any]:
    report: dict[str, Any] = user.run("run", "Write it", *quick, "--json").json()
    assert report["state"] == "completed"
    return report


def repositories(user: CommandLine) -> list[str]:
    return sorted(path.name for path in (user.home / "repos").iterdir())


def test_a_dry_run_says_what_would_go_and_what_stays_and_touches_nothing(
    user: CommandLine, done: dict[str, Any]
) -> None:
    before = sorted(user.home.rglob("*"))
    said = user.run("prune", "--dry-run")
    assert said.code == 0, said.stderr
    assert f"task {done['id']}: delivered, goes after 20" in said.stdout
    assert said.stdout.splitlines()[-1].startswith("0 things would go, 0 kB. 1 would stay; ")
    assert said.stdout.endswith(" of 20 GB taken.\n")
    said = user.run("prune", "--dry-run", "--older-than", "0")
    assert said.stdout.startswith("would go")
    assert said.stdout.splitlines()[-1].startswith("1 thing would go, ")
    assert [path for path in before if not path.exists()] == []
    assert repositories(user) == [f"{done['id']}.git"]


def test_pruning_says_what_is_gone_and_the_task_is_known_as_before(user: CommandLine, done: dict[str, Any]) -> None:
    shown, patch = user.run("show", done["id"]).stdout, user.run("diff", done["id"]).stdout
    said = user.run("prune", "--older-than", "0")
    assert (said.code, said.stderr) == (0, "")
    first, last = said.stdout.splitlines()
    assert first.startswith("gone")
    assert first.endswith(f"task {done['id']}: delivered")
    assert last.startswith("1 thing gone, ")
    assert repositories(user) == []
    assert (user.run("show", done["id"]).stdout, user.run("diff", done["id"]).stdout) == (shown, patch)
    assert [report["id"] for report in user.tasks()] == [done["id"]]
    assert user.git("show", f"{done['branch']}:new.txt") == "n\n"
    refused = user.run("rewind", done["id"], "--turn", "1")
    assert refused.code == 1
    assert f"the snapshots of task {done['id']} are gone: they were pruned to free disk space" in refused.stderr
    refused = user.run("fork", done["id"], "--turn", "1", "go on")
    assert refused.code == 1
    assert f"--base {done['branch']}" in refused.stderr
    again = user.run("prune", "--older-than", "0")
    assert again.stdout.startswith("0 things gone, 0 kB. 0 kept for a reason; ")


def test_what_is_not_delivered_is_kept_with_the_command_that_gets_it(user: CommandLine, repo: Path) -> None:
    options = ["--repo", str(repo), "--model", user.script(*WRITE), "--no-commit", "--json"]
    report = user.run("run", "Write it", *options).json()
    said = user.run("prune", "--older-than", "0")
    assert said.code == 0
    stays, command, last = said.stdout.splitlines()
    assert stays.endswith(f"task {report['id']}: uncommitted files are in its worktree")
    assert last.startswith("0 things gone, 0 kB. 1 kept for a reason; ")
    environ = {**user.environ, "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "A"}
    environ |= {"GIT_COMMITTER_EMAIL": "a@b"}
    subprocess.run(["bash", "-c", command.partition("->")[2]], check=True, env=environ, capture_output=True)
    assert user.git("show", f"{report['branch']}-2:new.txt") == "n\n"
    assert user.run("prune", "--older-than", "0").stdout.startswith("gone")


def test_one_json_object_says_it_all(user: CommandLine, done: dict[str, Any]) -> None:
    plan = user.run("prune", "--dry-run", "--json").json()
    (item,) = plan["stays"]
    assert (plan["dry_run"], plan["would_go"], plan["would_free_bytes"]) == (True, [], 0)
    assert (item["kind"], item["name"], item["why"]) == ("task", done["id"], "delivered")
    assert item["until"] > done["created_at"] + 13 * 86_400
    assert 0 < item["bytes"] <= plan["taken_bytes"] < plan["most_bytes"] == 20_000_000_000
    gone = user.run("prune", "--older-than", "0", "--json").json()
    assert (gone["dry_run"], [item["name"] for item in gone["gone"]], gone["stays"]) == (False, [done["id"]], [])
    assert gone["freed_bytes"] == plan["taken_bytes"] - gone["taken_bytes"]


def test_where_there_is_nothing_nothing_is_made(user: CommandLine) -> None:
    said = user.run("prune")
    assert (said.code, said.stdout) == (0, "0 things gone, 0 kB. 0 kept for a reason; 0 kB of 20 GB taken.\n")
    assert not user.home.exists()


def test_a_database_that_cannot_be_read_stops_everything(user: CommandLine, done: dict[str, Any]) -> None:
    [database] = user.home.glob("kugetsu.db")
    for path in user.home.glob("kugetsu.db*"):
        path.unlink()
    database.write_bytes(b"this is no database" * 1000)
    refused = user.run("prune", "--older-than", "0")
    assert refused.code == 1
    assert "kugetsu.db" in refused.stderr
    assert repositories(user) == [f"{done['id']}.git"]


def test_what_a_task_needs_that_runs_elsewhere_stays(user: CommandLine, job: list[str]) -> None:
    process = user.start("run", "Work", *job)
    user.wait_for("worktrees/*/begun", process)
    said = user.run("prune", "--older-than", "0")
    assert said.stdout.startswith("0 things gone, 0 kB. 0 kept for a reason; 2 more, see `kugetsu prune --dry-run`")
    assert user.run("prune", "--dry-run").stdout.count("its task is running") == 2
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)


ON_A_FULL_DISK = """
mount -t tmpfs -o size=16m tmpfs "$KUGETSU_HOME" || exit 77
kugetsu() { "$PYTHON" -m kugetsu "$@"; }
for keep in "" --keep-worktree; do
    kugetsu run "Write it" --repo "$1" --model "$2" $keep > /dev/null 2>&1 || exit 1
done
kugetsu prune > /dev/null
head -c 100m /dev/zero > "$KUGETSU_HOME/filling" 2> /dev/null
kugetsu prune --older-than 0
ls "$KUGETSU_HOME/repos" "$KUGETSU_HOME/worktrees"
"""


def test_a_full_disk_can_be_pruned(user: CommandLine, repo: Path) -> None:
    user.home.mkdir()
    settings = user.directory / ".config" / "kugetsu"
    settings.mkdir(parents=True)
    (settings / "kugetsu.toml").write_text("[disk]\nleast_free_mb = 0\n")
    environ = {**user.environ, "PYTHON": sys.executable}
    argv = ["unshare", "-rm", "bash", "-c", ON_A_FULL_DISK, "bash", str(repo), user.script(*WRITE)]
    try:
        done = subprocess.run(argv, env=environ, cwd=user.directory, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no unshare")
    if done.returncode == 77 or b"unshare" in done.stderr:
        pytest.skip("no disk of its own can be made here")
    lines = done.stdout.decode().splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["gone", "gone"], (lines, done.stderr)
    assert lines[-2:] == ["", f"{user.home}/worktrees:"]


KILLED = """
import os, signal, sys
from kugetsu.cli.main import main

CHANGES = {"os.rename", "os.remove", "os.rmdir", "subprocess.Popen"}
left = int(sys.argv.pop(1))

def hook(event, arguments):
    global left
    if event in CHANGES:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(hook)
main()
"""


@pytest.mark.drill
def test_a_pruning_that_was_killed_anywhere_is_completed_by_the_next(user: CommandLine, repo: Path) -> None:
    script = user.script(*WRITE)
    options = ["--repo", str(repo), "--model", script, "--keep-worktree", "--json"]
    kills = 0
    for step in count(2 + os.getpid() % 7, 17):
        report = user.run("run", "Write it", *options).json()
        argv = [sys.executable, "-c", KILLED, str(step), "prune", "--older-than", "0"]
        done = subprocess.run(argv, env=user.environ, cwd=user.directory, capture_output=True, check=False)
        assert done.returncode in {0, -9}, done.stderr
        kills += done.returncode == -9
        assert user.run("show", report["id"], "--json").json()["state"] == "completed"
        assert user.run("prune", "--older-than", "0").code == 0
        assert repositories(user) == []
        assert list((user.home / "worktrees").iterdir()) == []
        assert user.git("show", f"{report['branch']}:new.txt") == "n\n"
        if done.returncode == 0:
            break
    assert kills >= 2
