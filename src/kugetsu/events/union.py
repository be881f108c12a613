"""Everything that can happen in a task: one closed union of events, each serialisable.

An event is made without its stamp; the feed of a shadow stamps it with task, sequence number and time before anyone
sees it. Consumers match on the union and close the match with `assert_never`.
"""

from typing import TypeAlias, get_args

import msgspec

from kugetsu.errors import ModelFailure
from kugetsu.messages import StopReason, Usage, UserOrigin, encode_json
from kugetsu.tasks import CheckResult, Outcome, TaskState


class Stamped(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """What every event carries once it is published.

    Attributes:
        task: id of the task.
        seq: counts the task's events from 1, without a gap.
        at: seconds since the epoch.
    """

    task: str = ""
    seq: int = 0
    at: float = 0.0


class TaskStarted(Stamped, frozen=True, tag="task_started"):
    """A run of the task began."""

    prompt: str
    repo: str
    model: str
    runtime: str


class TaskResumed(Stamped, frozen=True, tag="task_resumed"):
    """A later run of the task began; it goes on where the last one stood.

    Attributes:
        run: counts the runs from 1.
        turn: the last turn that the session knows.
        reason: why the run before had ended.
        usage: of all turns so far.
    """

    run: int
    turn: int
    reason: str
    usage: Usage = Usage()


class WorkspaceReady(Stamped, frozen=True, tag="workspace_ready"):
    """The worktree exists.

    Attributes:
        path: the worktree's directory.
        branch: the branch the work will be delivered on.
        base: commit the branch starts from.
        notes: what this workspace does not do (submodules, LFS), one sentence each.
    """

    path: str
    branch: str
    base: str
    notes: tuple[str, ...] = ()


class MessageDelivered(Stamped, frozen=True, tag="message_delivered"):
    """A user's message entered the conversation."""

    origin: UserOrigin
    text: str


class TurnStarted(Stamped, frozen=True, tag="turn_started"):
    """The model is asked for its next reply."""

    turn: int


class ReplyDelta(Stamped, frozen=True, tag="reply_delta"):
    """A piece of the reply arrived. Not stored: `reply_finished` says it all again."""

    turn: int
    text: str = ""
    thinking: str = ""


class ReplyFinished(Stamped, frozen=True, tag="reply_finished"):
    """The reply is complete (or cut: see `stop`).

    Attributes:
        calls: names of the tools it calls, in source order.
        seconds: from the request to its last byte, failed attempts included.
    """

    turn: int
    text: str
    calls: tuple[str, ...]
    stop: StopReason
    usage: Usage
    seconds: float


class ModelRetried(Stamped, frozen=True, tag="model_retried"):
    """A model call failed and is tried again after `delay` seconds; what it had streamed is void."""

    turn: int
    failure: ModelFailure
    message: str
    attempt: int
    delay: float


class ToolStarted(Stamped, frozen=True, tag="tool_started"):
    """A tool call begins to run."""

    turn: int
    call_id: str
    name: str
    arguments: str


class ToolProgress(Stamped, frozen=True, tag="tool_progress"):
    """A running tool says something; for bash a piece of its output. Not stored."""

    call_id: str
    text: str


class ToolFinished(Stamped, frozen=True, tag="tool_finished"):
    """A tool call has its result.

    Attributes:
        preview: the beginning of the result's text, at most 2,000 characters.
        size: characters of the whole result's text.
    """

    turn: int
    call_id: str
    name: str
    is_error: bool
    seconds: float
    preview: str
    size: int


class QuestionAsked(Stamped, frozen=True, tag="question_asked"):
    """The model asks the user and cannot go on without an answer."""

    turn: int
    call_id: str
    question: str


class TurnFinished(Stamped, frozen=True, tag="turn_finished"):
    """The reply's calls are all answered. `usage` is the run's sum so far."""

    turn: int
    usage: Usage


class ContextPruned(Stamped, frozen=True, tag="context_pruned"):
    """The conversation got too long for the model: old texts in it gave way to notes of what was there.

    Attributes:
        turn: the last one before.
        texts: how many gave way.
        before: about how many tokens the prompt had.
        after: and has now.
    """

    turn: int
    texts: int
    before: int
    after: int


class ContextCompacted(Stamped, frozen=True, tag="context_compacted"):
    """The oldest turns were taken out of the conversation, and a summary stands for them.

    Attributes:
        turn: the last one before.
        through: the last one that was taken out.
        model: `provider/model` that wrote the notes; empty when nobody did.
        usage: what the notes used up.
        before: about how many tokens the prompt had.
        after: and has now.
    """

    turn: int
    through: int
    model: str
    usage: Usage
    before: int
    after: int


class CompactionFailed(Stamped, frozen=True, tag="compaction_failed"):
    """Nobody could write a summary of old turns: texts in them give way instead, and if need be the turns without notes.

    Attributes:
        turn: the last one.
        message: why.
    """

    turn: int
    message: str


class ContextMeasured(Stamped, frozen=True, tag="context_measured"):
    """A run of the agent is over: how much of what it sent a provider's cache of prefixes could serve.

    Attributes:
        requests: calls of the model, also those that failed.
        sent: estimated tokens of their prompts.
        repeated: of these the ones that the prompt before had begun with too.
    """

    requests: int
    sent: int
    repeated: int


class CheckStarted(Stamped, frozen=True, tag="check_started"):
    """The task's check command begins to run."""

    command: str


class CheckFinished(Stamped, frozen=True, tag="check_finished"):
    """The check command ended."""

    result: CheckResult


class Noted(Stamped, frozen=True, tag="noted"):
    """Something a user should know that changes no state: a hook that failed, a setting that was ignored."""

    message: str


class EventsDropped(Stamped, frozen=True, tag="events_dropped"):
    """This subscriber was too slow: so many events before this one never reached it."""

    count: int


class TaskHalted(Stamped, frozen=True, tag="task_halted"):
    """The run is over, the task is not: it is paused, was interrupted, or waits for an answer or a time.

    Always the last event of such a run.

    Attributes:
        available_at: when it may go on by itself; seconds since the epoch, 0 for at once or not by itself.
    """

    state: TaskState
    outcome: Outcome
    available_at: float = 0.0


class TaskMoved(Stamped, frozen=True, tag="task_moved"):
    """The task's state changed, and no run of it says so: it came in, was let go on or ended, or its worker died.

    Attributes:
        state: the new one.
        outcome: how its last run ended, or why there will be none; None before that.
    """

    state: TaskState
    outcome: Outcome | None = None


class TaskFinished(Stamped, frozen=True, tag="task_finished"):
    """The task is over, with its one outcome. Always the last event of a run."""

    state: TaskState
    outcome: Outcome
    summary: str


Event: TypeAlias = (
    TaskStarted
    | TaskResumed
    | WorkspaceReady
    | MessageDelivered
    | TurnStarted
    | ReplyDelta
    | ReplyFinished
    | ModelRetried
    | ToolStarted
    | ToolProgress
    | ToolFinished
    | QuestionAsked
    | TurnFinished
    | ContextPruned
    | ContextCompacted
    | CompactionFailed
    | ContextMeasured
    | CheckStarted
    | CheckFinished
    | Noted
    | EventsDropped
    | TaskHalted
    | TaskMoved
    | TaskFinished
)

TRANSIENT: tuple[type[Event], ...] = (ReplyDelta, ToolProgress, EventsDropped)
"""Events that are shown but not stored."""

EVENT_TYPES: tuple[type[Event], ...] = get_args(Event)

_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def encode_event(event: Event) -> bytes:
    """Serialise one event to one line of JSON, without its line end. Never raises."""
    return encode_json(event)


def decode_event(line: bytes) -> Event:
    """Read an event back.

    Raises:
        msgspec.ValidationError: the line is JSON but no event.
        msgspec.DecodeError: the line is no JSON.
    """
    return _decoder.decode(line)
