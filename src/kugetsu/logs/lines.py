"""Which events of tasks become lines of the log: one for each change of a task, and more for those who look for trouble."""

import functools
import logging
from collections.abc import Callable
from typing import Final, assert_never

import msgspec

from kugetsu.events import (
    CheckFinished,
    CheckStarted,
    CompactionFailed,
    ContextCompacted,
    ContextMeasured,
    ContextPruned,
    Event,
    EventsDropped,
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
from kugetsu.logs.entry import Entry, Where
from kugetsu.logs.foreign import about
from kugetsu.logs.wording import Used, line_of
from kugetsu.messages import Usage

_KEPT: Final = 8_000
"""Characters of an event's text that wait to be written: more than any line shows."""

_QUIET_HALTS: Final = frozenset({"interrupted", "paused", "question"})
"""Ways to halt that somebody asked for, or that need nobody's care."""


class TaskLogger:
    """Writes what happens in one run of a task. Its `take` is attached to the feed of the shadow.

    Args:
        put: takes an entry; never blocks and never raises.
        threshold: tells the least level that is written.
        task: id of the task.
        run: which run of it, counted from 1: `TaskRecord.runs`.

    Attributes:
        where: the task, the run, and the last turn that began.
    """

    def __init__(self, put: Callable[[Entry], None], threshold: Callable[[], int], task: str, run: int) -> None:
        self.where = Where(task, run)
        self._put = put
        self._threshold = threshold
        self._began = 0.0
        self._usage = Usage()

    def enter(self) -> None:
        """Let what loggers of the standard library say from here on, in this asyncio task, be about this run."""
        about.set(lambda: self.where)

    def take(self, event: Event) -> None:
        """Note an event of the task; for `Feed.attach`. Costs some microseconds, never blocks and never raises."""
        match event:
            case ReplyDelta() | ToolProgress():
                return
            case TurnStarted(turn=turn):
                self.where = self.where._replace(turn=turn)
            case TaskResumed(turn=turn, usage=usage):
                self.where, self._usage = self.where._replace(turn=turn), usage
            case TurnFinished(usage=usage):
                self._usage = usage
            case _:
                pass
        self._began = self._began or event.at
        level = level_of(event)
        if level is not None and level >= self._threshold():
            used = Used(self._usage, max(0.0, event.at - self._began))
            self._put(Entry(event.at, level, self.where, functools.partial(line_of, _light(event), used)))


def level_of(event: Event) -> int | None:
    """How important the line of an event is; None for events that have none."""
    match event:
        case (
            TaskStarted()
            | TaskResumed()
            | WorkspaceReady()
            | QuestionAsked()
            | Noted()
            | ContextPruned()
            | ContextCompacted()
        ):
            return logging.INFO
        case MessageDelivered(origin=origin):
            return None if origin == "prompt" else logging.INFO
        case ReplyFinished() | ToolStarted() | ToolFinished() | TurnFinished() | CheckStarted() | ContextMeasured():
            return logging.DEBUG
        case ModelRetried() | EventsDropped() | CompactionFailed():
            return logging.WARNING
        case CheckFinished(result=result):
            return logging.INFO if result.passed else logging.WARNING
        case TaskHalted(outcome=outcome):
            return logging.INFO if outcome.kind in _QUIET_HALTS else logging.WARNING
        case TaskMoved() | TaskFinished():
            if event.outcome and event.outcome.kind == "internal":
                return logging.ERROR
            return logging.WARNING if event.state == "failed" else logging.INFO
        case TurnStarted() | ReplyDelta() | ToolProgress():
            return None
        case _:
            assert_never(event)


def _light(event: Event) -> Event:
    """The event without text that no line shows: many may wait."""
    match event:
        case ToolStarted(arguments=text) if len(text) > _KEPT:
            return msgspec.structs.replace(event, arguments=text[:_KEPT])
        case ReplyFinished(text=text) | MessageDelivered(text=text) if len(text) > _KEPT:
            return msgspec.structs.replace(event, text=text[:_KEPT])
        case _:
            return event
