import asyncio
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from kugetsu.processes.census import marked
from kugetsu.storage import SqlStore
from support.command_line import CommandLine, tool

FIX: list[dict[str, Any]] = [
    {"text": "Let me look.", "tool_calls": [tool("read", path="a.txt")], "usage": {"input": 100, "output": 10}},
    {
        "text": "Now I fix it.",
        "tool_calls": [tool("edit", path="a.txt", edits=[{"oldText": "bug", "newText": "fix"}])],
        "usage": {"input": 200, "output": 20, "cached": 100},
    },
    {"tool_calls": [tool("bash", command="git commit -qam 'Fix the bug'")]},
    {"text": "I fixed a.txt."},
]


@pytest.fixture
def repo(user: CommandLine) -> Path:
    return user.make_repo({"a.txt": "a bug\n", "b.txt": "b\n"})


def test_a_task_becomes_a_branch_with_proof(user: CommandLine, repo: Path) -> None:
    base = user.git("rev-parse", "HEAD").strip()
    (repo / "b.txt").write_text("my own unfinished work\n")
    before = user.git("status", "--porcelain")
    done = user.run(
        "run", "Fix the bug", "--repo", str(repo), "--model", user.script(*FIX), "--check", "grep fix a.txt", "--json"
    )
    assert done.code == 0, done.stderr
    report = done.json()
    assert report["state"] == "completed"
    assert report["outcome"]["class"] == "completed"
    assert report["summary"] == "I fixed a.txt."
    assert report["repo"] == str(repo)
    assert report["base"] == base
    assert report["branch"] == f"kugetsu/{report['id']}-fix-the-bug"
    assert [commit["subject"] for commit in report["commits"]] == ["Fix the bug"]
    assert (report["files_changed"], report["insertions"], report["deletions"]) == (1, 1, 1)
    assert report["uncommitted"] is False
    assert report["check"] == {
        "command": "grep fix a.txt",
        "passed": True,
        "exit_code": 0,
        "output_tail": "a fix",
    }
    assert (report["turns"], report["tool_calls"]) == (4, 3)
    assert report["usage"] == {"input": 300, "output": 30, "cached": 100, "cost_usd": 0.0}
    assert report["session"] == report["id"]
    assert report["seconds"] > 0
    assert user.git("show", f"{report['branch']}:a.txt") == "a fix\n"
    assert user.git("log", "-1", "--format=%an", report["branch"]).strip()
    assert user.git("status", "--porcelain") == before
    assert (repo / "a.txt").read_text() == "a bug\n"


def test_the_result_for_people_names_the_branch_and_progress_goes_to_stderr(user: CommandLine, repo: Path) -> None:
    done = user.run("run", "Fix the bug", "--repo", str(repo), "--model", user.script(*FIX))
    assert done.code == 0
    assert "kugetsu/" in done.stdout
    assert "edit" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_a_failing_check_is_exit_code_1_and_the_work_is_still_there(user: CommandLine, repo: Path) -> None:
    done = user.run("run", "Fix", "--repo", str(repo), "--model", user.script(*FIX), "--check", "exit 9", "--json")
    report = done.json()
    assert (done.code, report["state"], report["outcome"]["class"]) == (1, "failed", "check_failed")
    assert user.git("show", f"{report['branch']}:a.txt") == "a fix\n"


def test_work_that_was_not_committed_is_committed_with_a_message_that_says_so(user: CommandLine, repo: Path) -> None:
    script = user.script({"tool_calls": [tool("write", path="new.txt", content="n\n")]})
    report = user.run("run", "Add it", "--repo", str(repo), "--model", script, "--json").json()
    (commit,) = report["commits"]
    assert "Uncommitted work" in commit["subject"]
    assert report["uncommitted"] is False
    assert user.git("show", f"{report['branch']}:new.txt") == "n\n"


def test_with_no_commit_it_stays_uncommitted_in_a_worktree_that_is_kept(user: CommandLine, repo: Path) -> None:
    script = user.script({"tool_calls": [tool("write", path="new.txt", content="n\n")]})
    report = user.run("run", "Add it", "--repo", str(repo), "--model", script, "--no-commit", "--json").json()
    assert report["uncommitted"] is True
    assert report["commits"] == []
    assert report["files_changed"] == 1
    (worktree,) = (user.home / "worktrees").iterdir()
    assert (worktree / "new.txt").read_text() == "n\n"


def test_nothing_but_snapshots_is_left_behind_once_all_is_delivered(user: CommandLine, repo: Path) -> None:
    assert user.run("run", "Fix", "--repo", str(repo), "--model", user.script(*FIX)).code == 0
    left = [path.name for name in ("worktrees", "scratch", "workers") for path in (user.home / name).glob("*")]
    assert left == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "nobody/x"], "nobody"),
        (["--model", "openrouter/x/y"], "OPENROUTER_API_KEY"),
        (["--model", "justaname"], "provider/model"),
        ([], "model"),
        (["--model", "scripted:nowhere.json"], "nowhere.json"),
        (["--model", "SCRIPT", "--repo", "/nowhere/at/all"], "/nowhere/at/all"),
        (["--model", "SCRIPT", "--repo", "."], "not a git repository"),
        (["--model", "SCRIPT", "--base", "no-such-branch"], "no-such-branch"),
        (["--model", "SCRIPT", "--max-turns", "-3"], "max-turns"),
        (["--model", "SCRIPT", "--frobnicate"], "frobnicate"),
        (["--model", "SCRIPT", "--config", "nowhere.toml"], "nowhere.toml"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_says_what_to_do(
    user: CommandLine, repo: Path, arguments: list[str], words: str
) -> None:
    given = [user.script() if argument == "SCRIPT" else argument for argument in arguments]
    given += [] if "--repo" in given else ["--repo", str(repo)]
    done = user.run("run", "Fix", *given, "--json")
    assert (done.code, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_an_empty_prompt_is_refused(user: CommandLine, repo: Path) -> None:
    done = user.run("run", " ", "--repo", str(repo), "--model", user.script())
    assert done.code == 2
    assert "prompt" in done.stderr


def test_the_prompt_may_come_from_stdin(user: CommandLine, repo: Path) -> None:
    done = user.run("run", "-", "--repo", str(repo), "--model", user.script(), "--json", stdin="Fix; rm -rf $HOME\n")
    assert done.json()["prompt"] == "Fix; rm -rf $HOME\n"


def test_events_are_json_lines_without_a_gap(user: CommandLine, repo: Path) -> None:
    done = user.run("run", "Fix", "--repo", str(repo), "--model", user.script(*FIX), "--json-events", "--json")
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    kinds = [event["type"] for event in events]
    assert kinds[0] == "task_started"
    assert kinds[-1] == "task_finished"
    assert {"workspace_ready", "turn_started", "reply_delta", "tool_started", "tool_finished"} <= set(kinds)
    assert {event["task"] for event in events} == {done.json()["id"]}


def test_a_retry_is_told_and_the_next_entry_serves_it(user: CommandLine, repo: Path) -> None:
    script = user.script({"fail": "rate_limited"}, {"fail": "network"}, {"text": "made it"})
    done = user.run("run", "Fix", "--repo", str(repo), "--model", script, "--json")
    assert done.json()["summary"] == "made it"
    assert done.json()["turns"] == 1
    assert "rate_limited" in done.stderr


@pytest.mark.parametrize("kind", ["authentication", "bad_request", "quota", "context_overflow", "refused"])
def test_a_lasting_failure_is_the_outcome(user: CommandLine, repo: Path, kind: str) -> None:
    script = user.script({"fail": kind}, {"text": "never"})
    done = user.run("run", "Fix", "--repo", str(repo), "--model", script, "--json")
    report = done.json()
    assert (done.code, report["state"], report["outcome"]["class"]) == (1, "failed", kind)
    assert report["outcome"]["message"]


def test_a_turn_limit_ends_the_run_with_its_class(user: CommandLine, repo: Path) -> None:
    script = user.script(*[{"tool_calls": [tool("ls")]}] * 9)
    done = user.run("run", "Fix", "--repo", str(repo), "--model", script, "--max-turns", "3", "--json")
    assert (done.code, done.json()["outcome"]["class"], done.json()["turns"]) == (5, "turn_limit", 3)
    paused = done.json()
    assert paused["state"] == "paused"
    assert f"`kugetsu resume {paused['id']} --max-turns N` lets it go on with more" in done.stderr


def test_a_url_is_cloned_once_and_its_branch_stays_in_the_mirror(user: CommandLine, repo: Path) -> None:
    for _ in range(2):
        done = user.run("run", "Fix", "--repo", repo.as_uri(), "--model", user.script(*FIX), "--json")
        assert done.code == 0, done.stderr
    (mirror,) = (user.home / "mirrors").glob("*.git")
    report = done.json()
    assert user.git("show", f"{report['branch']}:a.txt", cwd=mirror) == "a fix\n"
    assert "kugetsu" not in user.git("branch", "--list")


def test_ctrl_c_cancels_keeps_the_work_and_leaves_no_process(user: CommandLine, repo: Path) -> None:
    script = user.script(
        {"tool_calls": [tool("write", path="half.txt", content="half\n")]},
        {"tool_calls": [tool("bash", command="setsid sleep 300 & touch begun; sleep 300")]},
    )
    process = user.start("run", "Fix", "--repo", str(repo), "--model", script, "--check", "true", "--json")
    user.wait_for("worktrees/*/begun", process)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 3, stderr.decode()
    report = json.loads(stdout)
    assert (report["state"], report["outcome"]["class"]) == ("cancelled", "cancelled")
    assert user.git("show", f"{report['branch']}:half.txt") == "half\n"
    assert marked("KUGETSU_TASK", report["id"]) == set()


def test_a_second_signal_stops_at_once_and_leaves_no_process(user: CommandLine, repo: Path) -> None:
    hold = "trap '' TERM; touch begun; while true; do sleep 1; done"
    script = user.script({"tool_calls": [tool("bash", command=hold)]})
    process = user.start("run", "Fix", "--repo", str(repo), "--model", script, "--json-events")
    begun = user.wait_for("worktrees/*/begun", process)
    task = begun.parent.name.partition("-")[0]
    process.send_signal(signal.SIGINT)
    while wanted(user, task) != "cancel":
        assert process.poll() is None
    time.sleep(0.2)  # what follows faster counts as the same one
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 3
    assert marked("KUGETSU_TASK", task) == set()
    assert begun.exists()
    # It was cancelled: nobody takes it up again, and its work is brought home when somebody says so.
    assert user.run("serve", "--until-idle").code == 0
    (report,) = user.tasks()
    assert (report["state"], report["turns"]) == ("cancelled", 1)
    assert user.git("show", f"{report['branch']}:begun") == ""


def wanted(user: CommandLine, task: str) -> str:
    async def read() -> str:
        store = await SqlStore.open(user.home)
        try:
            return (await store.find(task)).wanted
        finally:
            await store.close()

    return asyncio.run(read())


def test_a_reader_that_goes_away_does_not_break_the_task(user: CommandLine, repo: Path) -> None:
    process = user.start("run", "Fix", "--repo", str(repo), "--model", user.script(*FIX), "--json-events", "--json")
    assert process.stderr
    process.stderr.close()
    assert process.stdout
    report = json.loads(process.stdout.read())
    process.stdout.close()
    assert process.wait(timeout=30) == 0
    assert report["state"] == "completed"


def test_keys_reach_no_command_and_no_record(user: CommandLine, repo: Path) -> None:
    user.environ["OPENROUTER_API_KEY"] = "sk-canary-in-the-mine"
    script = user.script({"tool_calls": [tool("bash", command="env; cat /proc/self/environ")]})
    done = user.run("run", "Fix", "--repo", str(repo), "--model", script, "--check", "env", "--json")
    assert "sk-canary" not in done.stdout + done.stderr
    kept = subprocess.run(["grep", "-r", "sk-canary", str(user.home)], check=False, capture_output=True)
    assert kept.returncode == 1


def test_a_real_wire_does_the_same_job(user: CommandLine, repo: Path) -> None:
    from kugetsu.rehearsal import parse_script
    from kugetsu.testing import ScriptedServer

    async def against_server() -> tuple[int, str, str]:
        async with ScriptedServer(parse_script({"turns": FIX})) as server:
            config = user.directory / "kugetsu.toml"
            config.write_text(f'[providers.mine]\nbase_url = "{server.base_url}"\napi_key_env = "MY_KEY"\n')
            user.environ["MY_KEY"] = "sk-very-secret"
            done = await asyncio.to_thread(
                user.run, "run", "Fix", "--repo", str(repo), "--model", "mine/m", "--config", str(config), "--json"
            )
            return done.code, done.stdout, done.stderr

    code, stdout, stderr = asyncio.run(against_server())
    assert code == 0, stderr
    report = json.loads(stdout)
    assert report["commits"][0]["subject"] == "Fix the bug"
    assert report["usage"]["cached"] == 100
    assert report["usage"]["cost_usd"] is None
    assert "sk-very-secret" not in stdout + stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every environment")
def test_a_command_cannot_read_the_environment_of_the_program(user: CommandLine, repo: Path) -> None:
    user.environ["OPENROUTER_API_KEY"] = "sk-canary-in-the-mine"
    script = user.script({"tool_calls": [tool("bash", command="tr '\\0' '\\n' < /proc/$PPID/environ")]})
    done = user.run("run", "Look", "--repo", str(repo), "--model", script, "--json")
    assert done.json()["state"] == "completed"
    session = user.run("logs", done.json()["id"], "--session").stdout
    assert "Permission denied" in session
    assert "sk-canary" not in session
