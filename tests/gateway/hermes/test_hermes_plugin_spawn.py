import json
import sys
from pathlib import Path

import pytest

from hermes.stand_in import StandIn
from support.command_line import CommandLine, tool

ASKING = (
    {"tool_calls": [tool("ask", question="Which clock?")]},
    {"tool_calls": [tool("write", path="clock.txt", content="tick\n")]},
    {"text": "The red one ticks."},
)


@pytest.fixture
def spawning(user: CommandLine, hermes_home: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """A Hermes whose plugin starts processes, with a Kugetsu that is set up."""
    user.make_repo({"clock.txt": "still\n"})
    settings = {
        "mode": "spawn",
        "command": [sys.executable, "-m", "kugetsu"],
        "repositories": {"clock": str(user.repo)},
        "seconds": 60,
    }
    (hermes_home / "kugetsu.json").write_text(json.dumps(settings))
    for name, value in user.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HERMES_HOME", str(hermes_home))
    monkeypatch.setenv("KUGETSU_MODEL", user.script(*ASKING))
    # What leads elsewhere, or is for the Python of Hermes, does not reach the program.
    monkeypatch.setenv("KUGETSU_SERVER", "http://127.0.0.1:9")
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    return StandIn()


def test_a_task_is_done_asked_about_and_shown_without_a_server(spawning: StandIn, user: CommandLine) -> None:
    said = spawning.call("kugetsu_submit", message=3, prompt="mend it;\n$(touch /tmp/x) `id`", repo="clock")
    assert "is accepted" in said, said
    again = spawning.call("kugetsu_submit", message=3, prompt="mend it;\n$(touch /tmp/x) `id`", repo="clock")
    (task,) = user.tasks()
    assert f"it is task {task['id']}" in again

    asked = user.wait_for_state(task["id"], "waiting")
    assert (asked["prompt"], asked["question"]) == ("mend it;\n$(touch /tmp/x) `id`", "Which clock?")
    assert user.run("show", task["id"], "--json").json()["reply_to"]["chat_id"] == "42"
    assert "asks: Which clock?" in spawning.call("kugetsu_status")
    assert "has its answer" in spawning.call("kugetsu_control", task=task["id"], action="answer", text="the red one")

    user.wait_for_state(task["id"], "completed")
    result = spawning.call("kugetsu_result", task=task["id"], diff=True)
    assert "The red one ticks." in result
    assert "+tick" in result


def test_what_the_program_refuses_is_told(spawning: StandIn) -> None:
    assert "is not a git repository" in spawning.call("kugetsu_submit", prompt="mend it", repo="/proc")
    missing = spawning.call("kugetsu_control", task="nothing", action="cancel")
    assert missing.startswith("Error: ")
    assert "nothing" in missing
