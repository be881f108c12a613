import json
from pathlib import Path
from typing import Any

import pytest

from support.command_line import CommandLine, tool

STEPS: list[dict[str, Any]] = [
    {"text": f"Step {n}.", "tool_calls": [tool("bash", command=f"echo {n} >> steps.txt")]} for n in (1, 2, 3)
]


@pytest.fixture
def done(user: CommandLine, repo: Path) -> dict[str, Any]:
    """A completed task of four turns; each of the first three added a line to a file that nobody committed."""
    script = user.script(*STEPS, {"text": "All steps done."})
    report: dict[str, Any] = user.run("run", "Do it", "--repo", str(repo), "--model", script, "--json").json()
    assert user.git("show", f"{report['branch']}:steps.txt") == "1\n2\n3\n"
    return report


def test_a_task_goes_back_to_a_turn_and_on_from_there(user: CommandLine, done: dict[str, Any]) -> None:
    task = done["id"]
    said = user.run("rewind", task, "--turn", "1")
    assert said.stdout == f"task {task} is paused: `kugetsu resume {task}` lets it go on\n"
    worktree = Path(user.run("show", task, "--json").json()["worktree"])
    assert (worktree / "steps.txt").read_text() == "1\n"
    after = user.run("logs", task, "--session").stdout
    assert "Step 1." in after
    assert "Step 2." not in after
    report = user.run("resume", task, "--json").json()
    assert (report["state"], report["branch"], report["runs"]) == ("completed", done["branch"], 2)
    assert user.git("show", f"{report['branch']}:steps.txt") == "1\n2\n3\n"
    turns = [line.split()[2] for line in user.run("logs", task, "--session").stdout.splitlines() if "── turn" in line]
    assert turns == ["1:", "5:", "6:", "7:"]
    full = user.run("logs", task, "--full").stdout
    assert full.count("Step 2.") == 2
    assert full.index("All steps done.") < full.index("── went back to turn 1: what came after it counts no longer")
    kinds = [
        json.loads(line)["entry"]["type"] for line in user.run("logs", task, "--full", "--json").stdout.splitlines()
    ]
    assert kinds.count("rewound") == 1


def test_a_fork_goes_its_own_way_from_a_turn(user: CommandLine, done: dict[str, Any]) -> None:
    forked = user.run("fork", done["id"], "--turn", "1", "Count on,\nbut otherwise", "--json")
    assert forked.code == 0, forked.stderr
    report = forked.json()
    assert report["id"] != done["id"]
    assert (report["state"], report["prompt"]) == ("completed", "Count on,\nbut otherwise")
    assert user.git("show", f"{report['branch']}:steps.txt") == "1\n2\n3\n"
    assert report["turns"] == 3
    shown = user.run("show", report["id"], "--json").json()
    assert shown["forked_from"] == f"{done['id']}:1"
    conversation = user.run("logs", report["id"], "--full").stdout
    assert conversation.index("Step 1.") < conversation.index(f"from here on a fork of {done['id']}")
    assert conversation.index("Count on,\nbut otherwise") < conversation.index("Step 2.")
    assert user.tasks() == [report, done]


def test_a_fork_may_wait_in_the_queue(user: CommandLine, done: dict[str, Any]) -> None:
    queued = user.run("fork", done["id"], "--turn", "0", "Once more", "--queue")
    task = queued.stdout.strip()
    assert (queued.code, user.run("show", task, "--json").json()["most_attempts"]) == (0, 3)
    assert f"task {task} is pending" in queued.stderr
    assert user.run("serve", "--until-idle").code == 0
    (report,) = user.tasks("-n", "1")
    assert (report["id"], report["state"], report["turns"]) == (task, "completed", 4)
