import io
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kugetsu.config import LogSettings
from kugetsu.events import (
    CheckFinished,
    CheckStarted,
    CompactionFailed,
    ContextCompacted,
    ContextMeasured,
    ContextPruned,
    Event,
    EventsDropped,
    Feed,
    MessageDelivered,
    ModelRetried,
    Noted,
    QuestionAsked,
    ReplyDelta,
    ReplyFinished,
    TaskFinished,
    TaskHalted,
    TaskMoved,
    TaskResumed,
    TaskStarted,
    ToolFinished,
    ToolProgress,
    ToolStarted,
    TurnFinished,
    TurnStarted,
    WorkspaceReady,
)
from kugetsu.logs import LOG_FILE, Log, open_log
from kugetsu.messages import Usage
from kugetsu.tasks import CheckResult, Outcome

NOON = 1_767_268_800.25
"""A moment of the first day of 2026, UTC."""


class Journal:
    """A log with a stream in memory and a state directory of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.stream = io.StringIO()

    @property
    def file(self) -> Path:
        return self.home / LOG_FILE

    @contextmanager
    def open(self, *secrets: str, **settings: Any) -> Iterator[Log]:
        with open_log(LogSettings(**settings), self.home, stream=self.stream, secrets=secrets, now=lambda: NOON) as log:
            yield log

    def shown(self) -> list[str]:
        """Lines of the stream."""
        text = self.stream.getvalue()
        assert text == "" or text.endswith("\n")
        return text.split("\n")[:-1]

    def kept(self) -> list[dict[str, Any]]:
        """Lines of the file."""
        return [json.loads(line) for line in self.file.read_text("utf-8").split("\n")[:-1]]

    def note(self, *events: Event, run: int = 1, level: str = "debug") -> list[dict[str, Any]]:
        """What is kept of the events of one task."""
        with self.open(level=level) as log:
            feed = Feed("k3f9abcdef", lambda: NOON)
            feed.attach(log.task("k3f9abcdef", run).take)
            for event in events:
                feed.publish(event)
        return self.kept()


def run_of_a_task() -> list[Event]:
    """One event of each kind."""
    usage = Usage(4000, 200, 1000, 0.0123)
    return [
        TaskStarted(prompt="fix the\nparser", repo="/repo", model="scripted:demo", runtime="native"),
        TaskResumed(run=2, turn=3, reason="the program was told to stop", usage=usage),
        WorkspaceReady(path="/w", branch="kugetsu/k3f9-fix", base="a" * 40, notes=("submodules stay empty",)),
        MessageDelivered(origin="steering", text="use regular expressions"),
        TurnStarted(turn=4),
        ReplyDelta(turn=4, text="I will"),
        ModelRetried(turn=4, failure="rate_limited", message="slow down", attempt=2, delay=2.0),
        ReplyFinished(turn=4, text="I will.", calls=("bash",), stop="tool_calls", usage=usage, seconds=1.5),
        ToolStarted(turn=4, call_id="c1", name="bash", arguments='{"command": "pytest -q"}'),
        ToolProgress(call_id="c1", text="..."),
        ToolFinished(turn=4, call_id="c1", name="bash", is_error=True, seconds=2, preview="a\n1 failed\n", size=11),
        QuestionAsked(turn=4, call_id="c2", question="Which one?"),
        TurnFinished(turn=4, usage=usage + usage),
        ContextPruned(turn=4, texts=12, before=160_000, after=80_000),
        ContextCompacted(turn=4, through=2, model="cheap/model", usage=Usage(9_000, 500), before=110_000, after=30_000),
        CompactionFailed(turn=4, message="cheap/model wrote no notes"),
        ContextMeasured(requests=20, sent=1_000_000, repeated=930_000),
        CheckStarted(command="make test"),
        CheckFinished(result=CheckResult("make test", passed=False, exit_code=2, output_tail="a\n1 failed\n")),
        Noted(message="a hook failed"),
        EventsDropped(count=7),
        TaskHalted(state="waiting", outcome=Outcome("budget", "the day's money is used up", until=NOON + 3600)),
        TaskMoved(state="pending"),
        TaskFinished(state="completed", outcome=Outcome("completed", "after 4 turns"), summary="I\ndid it."),
    ]


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path)


@pytest.fixture
def events() -> list[Event]:
    return run_of_a_task()


@pytest.fixture(autouse=True)
def loggers() -> Iterator[None]:
    """No test leaves a handler or a level behind."""
    before = list(logging.getLogger().handlers)
    yield
    assert logging.getLogger().handlers == before
    assert logging.getLogger("kugetsu").level == logging.NOTSET


@pytest.fixture
def waits() -> Callable[[Callable[[], bool]], None]:
    """Waits until something that a thread does is so."""
    import time

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, "it never came to be so"
            time.sleep(0.01)

    return wait
