"""What is known of several tasks at this moment, gathered from their events."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from kugetsu.cli.views.phrases import call, check, compaction, outcome, retry
from kugetsu.cli.views.text import first_line, one_line
from kugetsu.events import (
    CheckFinished,
    CheckStarted,
    ContextCompacted,
    Event,
    MessageDelivered,
    ModelRetried,
    Noted,
    QuestionAsked,
    ReplyDelta,
    ReplyFinished,
    TaskFinished,
    TaskHalted,
    TaskResumed,
    TaskStarted,
    ToolFinished,
    ToolStarted,
    TurnFinished,
    TurnStarted,
    WorkspaceReady,
)
from kugetsu.messages import Usage
from kugetsu.tasks import TaskState

_SHORTEST_ID: Final = 4


class ShortIds:
    """The beginnings of ids: as short as they can be while each stands for one task."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._length = _SHORTEST_ID

    def shorten(self, task_id: str) -> str:
        """The beginning of an id; ids that come later may make it longer."""
        if task_id not in self._ids:
            self._ids.add(task_id)
            while len({known[: self._length] for known in self._ids}) < len(self._ids):
                self._length += 1
        return one_line(task_id[: self._length])


@dataclass
class Row:
    """One task.

    Attributes:
        doing: what it does or did last.
        started: seconds since the epoch; None until it is known.
        ended: the same; None while it runs.
        running: what its running tool calls do, by call id.
    """

    id: str
    state: TaskState = "pending"
    turn: int = 0
    doing: str = ""
    usage: Usage = field(default_factory=Usage)
    started: float | None = None
    ended: float | None = None
    running: dict[str, str] = field(default_factory=dict)

    def seconds(self, now: float) -> float:
        """How long it has run."""
        return 0.0 if self.started is None else (self.ended or now) - self.started


class Board:
    """All tasks, in the order in which they came."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}
        self._short = ShortIds()

    @property
    def rows(self) -> list[Row]:
        """One for each task."""
        return list(self._rows.values())

    @property
    def states(self) -> Counter[TaskState]:
        """How many tasks are in each state."""
        return Counter(row.state for row in self._rows.values())

    @property
    def usage(self) -> Usage:
        """What all tasks have used together."""
        return sum((row.usage for row in self._rows.values()), Usage())

    def short(self, row: Row) -> str:
        """A row's id, as short as it can be."""
        return self._short.shorten(row.id)

    def take(self, event: Event) -> None:
        """Learn from an event."""
        row = self._rows.get(event.task)
        if row is None:
            row = self._rows[event.task] = Row(event.task)
            self._short.shorten(event.task)
        _apply(row, event)

    def notes(self, events: Iterable[Event]) -> list[str]:
        """What the rows do not say: notes, each with its task."""
        return [
            f"{self._short.shorten(event.task)} note: {one_line(event.message)}"
            for event in events
            if isinstance(event, Noted)
        ]


def _apply(row: Row, event: Event) -> None:  # noqa: C901, PLR0912 - one case for each kind of event
    match event:
        case TaskStarted():
            row.state, row.started = "running", event.at
            row.doing = "starting"
        case TaskResumed():
            row.state, row.started, row.ended = "running", event.at, None
            row.turn, row.usage, row.doing = event.turn, event.usage, "going on"
        case WorkspaceReady():
            row.doing = "worktree ready"
        case MessageDelivered(origin="steering" | "follow_up" | "notice"):
            row.doing = f"told: {one_line(event.text)}"
        case TurnStarted():
            row.turn, row.doing = event.turn, "thinking"
        case ReplyDelta():
            row.doing = "writing" if event.text else "thinking"
        case ReplyFinished():
            row.usage += event.usage
            row.doing = first_line(event.text) or row.doing
        case ModelRetried():
            row.doing = retry(event)
        case ToolStarted() | ToolFinished():
            _apply_tool(row, event)
        case TurnFinished():
            row.usage = event.usage
        case ContextCompacted():
            row.usage += event.usage
            row.doing = compaction(event)
        case CheckStarted():
            row.doing = f"check: {one_line(event.command)}"
        case CheckFinished():
            row.doing = check(event.result)
        case QuestionAsked():
            row.doing = f"asks: {one_line(event.question)}"
        case TaskFinished() | TaskHalted():
            row.state, row.ended = event.state, event.at
            row.running.clear()
            row.doing = _last_words(event)
        case _:
            pass  # the others change nothing that a row shows


def _apply_tool(row: Row, event: ToolStarted | ToolFinished) -> None:
    """Show the call that started last; when it ends, one that still runs."""
    if isinstance(event, ToolStarted):
        row.running[event.call_id] = call(event.name, event.arguments)
    else:
        ended = row.running.pop(event.call_id, one_line(event.name))
        row.doing = f"{ended}: failed" if event.is_error else ended
    if row.running:
        others = len(row.running) - 1
        row.doing = (f"(+{others}) " if others else "") + list(row.running.values())[-1]


def _last_words(event: TaskFinished | TaskHalted) -> str:
    if isinstance(event, TaskFinished) and event.state == "completed":
        return first_line(event.summary) or one_line(event.outcome.message)
    return outcome(event.outcome, event.state).removeprefix(event.state).lstrip(": ")
