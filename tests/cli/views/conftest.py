import json
import time
from collections.abc import Callable, Iterator

import msgspec
import pytest

from kugetsu.events import (
    CheckFinished,
    CheckStarted,
    Event,
    ModelRetried,
    ReplyDelta,
    ReplyFinished,
    TaskFinished,
    TaskStarted,
    ToolFinished,
    ToolProgress,
    ToolStarted,
    TurnFinished,
    TurnStarted,
    WorkspaceReady,
)
from kugetsu.messages import Usage
from kugetsu.tasks import CheckResult, Commit, Outcome, TaskReport

START = 1_767_225_600.0
"""Midnight of a new year, UTC."""


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let local time be UTC, and colours be decided by the streams alone."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    yield
    monkeypatch.undo()
    time.tzset()


def run_of_a_task(task: str = "k3f9abcdef") -> list[Event]:
    """The events of a short run, each a second after the one before."""
    usage = Usage(4000, 200, 0, 0.0123)
    arguments = json.dumps({"command": "pytest -q"})
    events: list[Event] = [
        TaskStarted(prompt="fix the parser", repo="/repo", model="scripted:demo", runtime="native"),
        WorkspaceReady(path="/w", branch=f"kugetsu/{task}-fix-the-parser", base="a" * 40),
        TurnStarted(turn=1),
        ReplyDelta(turn=1, text="I will"),
        ModelRetried(turn=1, failure="rate_limited", message="429", attempt=2, delay=2.0),
        ReplyFinished(turn=1, text="I will.", calls=("bash",), stop="tool_calls", usage=usage, seconds=1.5),
        ToolStarted(turn=1, call_id="c1", name="bash", arguments=arguments),
        ToolProgress(call_id="c1", text="..."),
        ToolFinished(turn=1, call_id="c1", name="bash", is_error=True, seconds=2, preview="E  no\nmore", size=3000),
        TurnFinished(turn=1, usage=usage),
        CheckStarted(command="make test"),
        CheckFinished(result=CheckResult("make test", passed=False, exit_code=2, output_tail="a\n1 failed\n\n")),
        TaskFinished(state="failed", outcome=Outcome("check_failed", "it exited with 2"), summary="I tried."),
    ]
    return [msgspec.structs.replace(event, task=task, seq=seq, at=START + seq) for seq, event in enumerate(events, 1)]


def make_report(task: str = "k3f9abcdef", **fields: object) -> TaskReport:
    """A completed task, with some fields changed."""
    report = TaskReport(
        id=task,
        state="completed",
        outcome=Outcome("completed", "the agent finished after 2 turns"),
        summary="I fixed the parser.\n\nAll tests pass.",
        prompt="fix the failing date parser test\nand be quick",
        model="scripted:demo",
        repo="/home/me/my sample",
        base="a" * 40,
        branch=f"kugetsu/{task}-fix-the-failing-date-parser-test",
        commits=(Commit("3f2a1b0c9d" + "0" * 30, "Fix the month"),),
        files_changed=2,
        insertions=13,
        deletions=1,
        check=CheckResult("pytest -q", passed=True, exit_code=0, output_tail="3 passed"),
        turns=2,
        tool_calls=3,
        usage=Usage(4123, 312, 1000, 0.0123),
        seconds=12.34,
        session=task,
        created_at=START,
    )
    return msgspec.structs.replace(report, **fields)


@pytest.fixture
def events() -> list[Event]:
    return run_of_a_task()


@pytest.fixture
def events_of() -> Callable[[str], list[Event]]:
    return run_of_a_task


@pytest.fixture
def report() -> Callable[..., TaskReport]:
    return make_report
