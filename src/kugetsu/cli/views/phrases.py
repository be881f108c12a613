"""Events in words, each on one line."""

from typing import Any, Final, assert_never

import msgspec

from kugetsu.cli.views import amounts
from kugetsu.cli.views.text import first_line, last_line, one_line
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
from kugetsu.messages import UserOrigin
from kugetsu.tasks import CheckResult, Outcome

_COMMIT_LENGTH: Final = 10
_ORIGINS: Final[dict[UserOrigin, str]] = {
    "prompt": "prompt",
    "steering": "steering",
    "follow_up": "follow-up",
    "notice": "notice",
    "summary": "summary",
}


class _Subject(msgspec.Struct):
    """The arguments of calls that say best what a call is about."""

    command: Any = None
    path: Any = None
    pattern: Any = None


_MANY: Final = 10
"""Requests; fewer say nothing of how well a cache could serve them."""

_subjects: Final = msgspec.json.Decoder(_Subject)


def phrase(event: Event) -> str:  # noqa: C901, PLR0912 - one case for each kind of event
    """Say what happened; empty for events that say nothing which another one does not."""
    match event:
        case TaskStarted():
            return f"started with {one_line(event.model)}: {one_line(event.prompt)}"
        case TaskResumed():
            return f"goes on after turn {event.turn} (run {event.run}): {one_line(event.reason) or 'as it stood'}"
        case WorkspaceReady():
            return f"branch {one_line(event.branch)} from {one_line(event.base)[:_COMMIT_LENGTH]}"
        case MessageDelivered():
            return "" if event.origin == "prompt" else f"{_ORIGINS[event.origin]}: {one_line(event.text)}"
        case ReplyFinished():
            return f"turn {event.turn} {_reply(event)}"
        case ModelRetried():
            return f"turn {event.turn} {retry(event)}: {one_line(event.message)}"
        case ToolStarted():
            return f"turn {event.turn} {call(event.name, event.arguments, ': ')}"
        case ToolFinished():
            return f"turn {event.turn} {_tool_end(event)}"
        case QuestionAsked():
            return f"asks: {one_line(event.question)}"
        case ContextPruned():
            return f"{amounts.counted(event.texts, 'old text')} made room: {_shrunk(event)}"
        case ContextCompacted():
            return f"{compaction(event)}: {_shrunk(event)}"
        case CompactionFailed():
            return f"no notes on old turns: {one_line(event.message)}"
        case ContextMeasured():
            share = event.repeated / event.sent if event.sent else 0.0
            return f"{share:.0%} of what the model was sent it had been sent before" if event.requests >= _MANY else ""
        case CheckStarted():
            return f"check: {one_line(event.command)}"
        case CheckFinished():
            return check(event.result)
        case Noted():
            return f"note: {one_line(event.message)}"
        case EventsDropped():
            return f"{amounts.counted(event.count, 'event')} came too fast to be shown"
        case TaskHalted():
            again = f", again at {amounts.date_and_time(event.available_at)}" if event.available_at else ""
            return outcome(event.outcome, event.state) + again
        case TaskMoved():
            return outcome(event.outcome, event.state) if event.outcome else event.state
        case TaskFinished():
            return outcome(event.outcome, event.state)
        case TurnStarted() | TurnFinished() | ReplyDelta() | ToolProgress():
            return ""
        case _:
            assert_never(event)


def call(name: str, arguments: str, joint: str = " ") -> str:
    """A tool call by its most telling argument: `bash pytest -q`."""
    subject = _subject(arguments)
    return f"{one_line(name)}{joint}{subject}" if subject else one_line(name)


def retry(event: ModelRetried) -> str:
    """When and why the model is asked again."""
    return f"retry in {event.delay:.3g} s ({event.failure})"


def compaction(event: ContextCompacted) -> str:
    """Which turns went, and whether there are notes on them."""
    turns = amounts.turns_to(event.through)
    if event.model:
        return f"notes stand for {turns}"
    return f"{turns} {'was' if event.through == 1 else 'were'} taken out without notes"


def check(result: CheckResult) -> str:
    """What the check said."""
    match result.passed:
        case True:
            return "check passed"
        case None:
            return f"check {first_line(result.output_tail) or 'not run'}"
        case False:
            how = "took too long" if result.exit_code is None else f"exit code {result.exit_code}"
            said = last_line(result.output_tail)
            return f"check failed ({how})" + (f": {said}" if said else "")


def outcome(end: Outcome, state: str) -> str:
    """How a task ended; its class is named unless the state says it already."""
    kind = "" if end.kind == state else f" ({end.kind})"
    return f"{state}{kind}: {one_line(end.message)}"


def _shrunk(event: ContextPruned | ContextCompacted) -> str:
    return f"about {amounts.tokens(event.before)} tokens are {amounts.tokens(event.after)} now"


def _reply(event: ReplyFinished) -> str:
    cut = {"length": ", cut at its output limit", "aborted": ", cut short"}.get(event.stop, "")
    head = f"reply in {amounts.duration(event.seconds)}, {amounts.tokens(event.usage.tokens)} tokens{cut}"
    text = first_line(event.text)
    return f"{head}: {text}" if text else head


def _tool_end(event: ToolFinished) -> str:
    time = amounts.duration(event.seconds)
    if not event.is_error:
        return f"{one_line(event.name)} done in {time}"
    # The end of an output says most, if it is there.
    said = last_line(event.preview) if event.size <= len(event.preview) else first_line(event.preview)
    return f"{one_line(event.name)} failed in {time}" + (f": {said}" if said else "")


def _subject(arguments: str) -> str:
    try:
        found = _subjects.decode(arguments)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return one_line(arguments)
    match found:
        case _Subject(command=str(command)):
            return one_line(command)
        case _Subject(pattern=str(pattern), path=str(path)):
            return one_line(f"{pattern} in {path}")
        case _Subject(pattern=str(text)) | _Subject(path=str(text)):
            return one_line(text)
    return "" if arguments.strip() == "{}" else one_line(arguments)
