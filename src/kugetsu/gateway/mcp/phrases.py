"""Events in words for models, each on one line."""

from typing import assert_never

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
from kugetsu.gateway.mcp.texts import moment, one_line


def line(event: Event) -> str:
    """An event with its time; empty when it says nothing."""
    words = phrase(event)
    return f"{moment(event.at)} {words}" if words else ""


def phrase(event: Event) -> str:  # noqa: C901, PLR0912 - one case for each kind of event
    """Say what happened; empty for events that say nothing which another one does not."""
    match event:
        case TaskStarted():
            return f"started with {event.model}"
        case TaskResumed():
            return f"goes on after turn {event.turn}: {one_line(event.reason)}"
        case WorkspaceReady():
            return f"branch {event.branch}"
        case MessageDelivered():
            return "" if event.origin == "prompt" else f"was told: {one_line(event.text)}"
        case ReplyFinished():
            return f"turn {event.turn}: {one_line(event.text)}" if event.text.strip() else ""
        case ModelRetried():
            return f"turn {event.turn}: asks the model again in {event.delay:.3g} s ({event.failure})"
        case ToolStarted():
            return f"turn {event.turn}: {event.name} {one_line(event.arguments)}"
        case ToolFinished():
            return f"turn {event.turn}: {event.name} failed: {one_line(event.preview)}" if event.is_error else ""
        case QuestionAsked():
            return f"asks: {one_line(event.question)}"
        case CheckStarted():
            return f"check: {one_line(event.command)}"
        case CheckFinished():
            return "check passed" if event.result.passed else "check failed"
        case Noted():
            return f"note: {one_line(event.message)}"
        case TaskHalted() | TaskFinished():
            return f"{event.state}: {one_line(event.outcome.message)}"
        case TaskMoved():
            return f"{event.state}: {one_line(event.outcome.message)}" if event.outcome else event.state
        case (
            TurnStarted()
            | TurnFinished()
            | ReplyDelta()
            | ToolProgress()
            | EventsDropped()
            | ContextPruned()
            | ContextCompacted()
            | CompactionFailed()
            | ContextMeasured()
        ):
            return ""
        case _:
            assert_never(event)
