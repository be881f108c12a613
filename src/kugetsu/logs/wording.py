"""Events of tasks in words: a message for people, and fields for programs."""

from typing import Any, Final, NamedTuple, TypeAlias, assert_never

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
from kugetsu.logs.entry import Line
from kugetsu.logs.layout import timestamp
from kugetsu.logs.redaction import Redactor
from kugetsu.messages import Usage

TEXT: Final = 200
"""Characters of a foreign text on a line."""

REASON: Final = 400
"""Characters of a text that says why."""

BLOCK: Final = 4_000
"""Characters of a foreign text in a field."""

_COMMIT: Final = 10
_CUT: Final = {"length": ", cut at its output limit", "aborted": ", cut short"}

_Said: TypeAlias = tuple[str, dict[str, Any]]
"""A message, and its fields."""


class Used(NamedTuple):
    """What a task used up.

    Attributes:
        usage: of all its turns so far.
        seconds: since this run began.
    """

    usage: Usage = Usage()
    seconds: float = 0.0


def line_of(event: Event, used: Used, words: Redactor) -> Line:
    """An event in words.

    Args:
        event: what happened.
        used: what the task used up so far.
        words: makes texts fit to be shown.
    """
    return Line(str(event.__struct_config__.tag), *_said(event, used, words))


def _said(event: Event, used: Used, words: Redactor) -> _Said:  # noqa: C901, PLR0912 - one case for each kind of event
    match event:
        case TaskStarted():
            return _started(event, words)
        case TaskResumed():
            reason = words.line(event.reason, TEXT) or "as it stood"
            message = f"goes on after turn {event.turn} (run {event.run}): {reason}"
            return message, {"reason": reason, **_usage(event.usage)}
        case WorkspaceReady():
            return _workspace(event, words)
        case MessageDelivered():
            return f"{event.origin.replace('_', '-')}: {words.line(event.text, TEXT)}", {"origin": event.origin}
        case ReplyFinished():
            return _reply(event, words)
        case ModelRetried():
            return _retry(event, words)
        case ToolStarted():
            tool, about = words.line(event.name, TEXT), words.line(_subject(event.arguments), TEXT)
            return f"{tool}: {about}" if about else tool, {"tool": tool, **_call(event.call_id, words)}
        case ToolFinished():
            return _tool_end(event, words)
        case QuestionAsked():
            return f"asks: {words.line(event.question, REASON)}", _call(event.call_id, words)
        case TurnFinished():
            return f"turn finished, {_spent(event.usage)} so far", _usage(event.usage)
        case ContextPruned():
            what = "1 old text" if event.texts == 1 else f"{event.texts:,} old texts"
            return f"{what} made room: {_shrunk(event)}", {"texts": event.texts, **_sizes(event)}
        case ContextCompacted():
            return _compaction(event, words)
        case CompactionFailed():
            reason = words.line(event.message, REASON)
            return f"no notes on old turns: {reason}", {"reason": reason}
        case ContextMeasured():
            share = event.repeated / event.sent if event.sent else 0.0
            fields = {"requests": event.requests, "sent": event.sent, "repeated": event.repeated}
            return f"{share:.0%} of what the model was sent it had been sent before", fields
        case CheckStarted():
            command = words.line(event.command, TEXT)
            return f"check: {command}", {"command": command}
        case CheckFinished():
            return _check(event, words)
        case Noted():
            return _note(event, words)
        case EventsDropped():
            return f"{event.count:,} events came too fast", {"count": event.count}
        case TaskHalted():
            until = event.available_at or event.outcome.until
            when = timestamp(until) if until else None
            message, fields = _ending(event, used, words, f", again at {when}" if when else "")
            return message, {**fields, "until": when}
        case TaskMoved():
            why = f" ({event.outcome.kind}: {words.line(event.outcome.message, REASON)})" if event.outcome else ""
            return f"{event.state}{why}", {"state": event.state, "class": event.outcome.kind if event.outcome else None}
        case TaskFinished():
            message, fields = _ending(event, used, words)
            return message, {**fields, "summary": words.block(event.summary, BLOCK)}
        case TurnStarted() | ReplyDelta() | ToolProgress():
            return "", {}
        case _:
            assert_never(event)


def _started(event: TaskStarted, words: Redactor) -> _Said:
    model, repo = words.line(event.model, TEXT), words.line(event.repo, BLOCK)
    fields = {"model": model, "repo": repo, "runtime": words.line(event.runtime, TEXT)}
    return f"started with {model} on {repo}: {words.line(event.prompt, TEXT)}", fields


def _workspace(event: WorkspaceReady, words: Redactor) -> _Said:
    branch, base = words.line(event.branch, TEXT), words.line(event.base, TEXT)
    notes = [words.line(note, TEXT) for note in event.notes]
    message = f"workspace ready on {branch} from {base[:_COMMIT]}" + "".join(f"; {note}" for note in notes)
    return message, {"path": words.line(event.path, BLOCK), "branch": branch, "base": base, "notes": notes}


def _reply(event: ReplyFinished, words: Redactor) -> _Said:
    text = words.line(event.text, TEXT)
    head = f"reply in {_seconds(event.seconds)}, {event.usage.tokens:,} tokens{_CUT.get(event.stop, '')}"
    calls = [words.line(name, TEXT) for name in event.calls]
    fields = {"stop": event.stop, "calls": calls, "seconds": round(event.seconds, 3), **_usage(event.usage)}
    return f"{head}: {text}" if text else head, fields


def _retry(event: ModelRetried, words: Redactor) -> _Said:
    why = words.line(event.message, REASON)
    fields = {"failure": event.failure, "attempt": event.attempt, "delay": round(event.delay, 3)}
    return f"the model is asked again in {event.delay:.3g} s ({event.failure}): {why}", fields


def _tool_end(event: ToolFinished, words: Redactor) -> _Said:
    tool, time = words.line(event.name, TEXT), _seconds(event.seconds)
    message = f"{tool} done in {time}"
    if event.is_error:
        # The end of an output says most, if it is there.
        said = _one_of(event.preview, -1 if event.size <= len(event.preview) else 0, words)
        message = f"{tool} failed in {time}" + (f": {said}" if said else "")
    fields = {"is_error": event.is_error, "seconds": round(event.seconds, 3), "size": event.size}
    return message, {"tool": tool, **_call(event.call_id, words), **fields}


def _compaction(event: ContextCompacted, words: Redactor) -> _Said:
    turns, were = ("turn 1", "was") if event.through == 1 else (f"turns 1 to {event.through}", "were")
    what = f"notes stand for {turns}" if event.model else f"{turns} {were} taken out without notes"
    model = words.line(event.model, TEXT) or None
    return f"{what}: {_shrunk(event)}", {
        "through": event.through,
        **_sizes(event),
        "model": model,
        **_usage(event.usage),
    }


def _shrunk(event: ContextPruned | ContextCompacted) -> str:
    return f"about {event.before:,} tokens are {event.after:,} now"


def _sizes(event: ContextPruned | ContextCompacted) -> dict[str, Any]:
    return {"before": event.before, "after": event.after}


def _check(event: CheckFinished, words: Redactor) -> _Said:
    result = event.result
    fields = {"command": words.line(result.command, TEXT), "passed": result.passed, "exit_code": result.exit_code}
    match result.passed:
        case True:
            return "check passed", fields
        case None:
            return f"check {_one_of(result.output_tail, 0, words) or 'not run'}", fields
        case False:
            how = "took too long" if result.exit_code is None else f"exit code {result.exit_code}"
            said = _one_of(result.output_tail, -1, words)
            return f"check failed ({how})" + (f": {said}" if said else ""), fields


def _note(event: Noted, words: Redactor) -> _Said:
    """Of a traceback the last line says what happened."""
    fields = {"text": words.block(event.message, BLOCK)} if "\n" in event.message.strip() else {}
    return f"note: {_one_of(event.message, -1, words, REASON)}", fields


def _ending(event: TaskHalted | TaskFinished, used: Used, words: Redactor, again: str = "") -> _Said:
    end = event.outcome
    kind = "" if end.kind == event.state else f" ({end.kind})"
    reason = words.line(end.message, REASON)
    message = f"{event.state}{kind}: {reason}{again} [{_spent(used.usage)}, {_seconds(used.seconds)}]"
    fields = {"state": event.state, "class": end.kind, "reason": reason, "seconds": round(used.seconds, 3)}
    return message, {**fields, **_usage(used.usage)}


def _one_of(text: str, number: int, words: Redactor, longest: int = TEXT) -> str:
    """One of the lines of a text that are not empty. The text is cleaned whole: a key has many lines."""
    lines = [line for line in words.block(text, len(text) + 1).splitlines() if line.strip()]
    return words.line(lines[number], longest) if lines else ""


def _call(call_id: str, words: Redactor) -> dict[str, Any]:
    return {"call": words.line(call_id, TEXT)}


def _usage(usage: Usage) -> dict[str, Any]:
    usd = usage.rounded.cost_usd
    return {"input": usage.input, "output": usage.output, "cached": usage.cached, "usd": usd}


def _spent(usage: Usage) -> str:
    return f"{usage.tokens:,} tokens" + ("" if usage.cost_usd is None else f", ${usage.cost_usd:.4f}")


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f} s" if seconds < 1 else f"{seconds:,.1f} s"


class _Subject(msgspec.Struct):
    """The arguments of calls that say best what a call is about."""

    command: Any = None
    path: Any = None
    pattern: Any = None


_subjects: Final = msgspec.json.Decoder(_Subject)


def _subject(arguments: str) -> str:
    try:
        found = _subjects.decode(arguments)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return arguments
    match found:
        case _Subject(command=str(command)):
            return command
        case _Subject(pattern=str(pattern), path=str(path)):
            return f"{pattern} in {path}"
        case _Subject(pattern=str(text)) | _Subject(path=str(text)):
            return text
    return "" if arguments.strip() == "{}" else arguments
