"""Everything that can be asked for, in one table: the way to it, who may, and what goes in and comes out."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal

import msgspec

from kugetsu.gateway.http import forms, standing, tasks
from kugetsu.gateway.http.calls import Reply
from kugetsu.gateway.http.problems import ProblemName
from kugetsu.protocols import NewTask, Scope, Stats, TaskDetails, TaskDiff, TaskPage

Take = Literal["query", "json", "raw", "nothing"]
"""What of a request counts: its query, its body as JSON, its body as it is; or somebody else looks."""

TEXT: Final = "text/plain"
STREAM: Final = "text/event-stream"


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """Something that can be asked for.

    Attributes:
        method: of HTTP; empty for all.
        path: with at most one name in braces, which may have slashes in it.
        name: of the operation, for programs.
        summary: a short sentence for people.
        do: does it, with what was asked.
        take: what of the request counts.
        asked: the kind of that.
        scope: what the token must be for; None where no token counts.
        answers: what comes out by status: a struct, or a media type.
        problems: what can go wrong beside what can go wrong everywhere.
        quiet: whether it is too frequent and too dull for the log.
        hidden: whether it is left out of the document, because it is described elsewhere.
        streams: whether the answer goes on and on.
    """

    method: str
    path: str
    name: str
    summary: str
    do: Callable[..., Awaitable[Reply]]
    take: Take = "query"
    asked: type[msgspec.Struct] = forms.Nothing
    scope: Scope | None = None
    answers: dict[int, Any]
    problems: tuple[ProblemName, ...] = ()
    quiet: bool = False
    hidden: bool = False
    streams: bool = False


def _get(path: str, name: str, summary: str, do: Callable[..., Awaitable[Reply]], out: Any, **more: Any) -> Operation:  # noqa: ANN401 - see `Operation`
    fields = {"scope": "read", "answers": {200: out}, **more}
    return Operation(method="GET", path=path, name=name, summary=summary, do=do, **fields)


def _verb(verb: str, summary: str, do: Callable[..., Awaitable[Reply]], asked: type[msgspec.Struct]) -> Operation:
    return Operation(
        method="POST",
        path=f"{_TASK}/{verb}",
        name=f"{verb}Task",
        summary=summary,
        do=do,
        take="json",
        asked=asked,
        scope="control",
        answers={200: TaskDetails},
        problems=("not-found", "conflict", "usage", "config"),
    )


_TASK: Final = "/v1/tasks/{task}"

OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        method="POST",
        path="/v1/tasks",
        name="submitTask",
        summary="Put a task into the queue; with a key it may be sent twice.",
        do=tasks.submit,
        take="json",
        asked=NewTask,
        scope="submit",
        answers={202: TaskDetails, 200: TaskDetails},
        problems=("not-found", "conflict", "usage", "config", "repository", "queue-full", "workspace"),
    ),
    _get("/v1/tasks", "listTasks", "Tasks, newest first.", tasks.list_tasks, TaskPage, asked=forms.TaskQuery),
    _get(
        f"{_TASK}/events",
        "followTask",
        "What happened in a task, and what happens.",
        standing.task_events,
        STREAM,
        asked=forms.EventQuery,
        problems=("not-found",),
        streams=True,
    ),
    _get(
        f"{_TASK}/session",
        "showSession",
        "The log of a task's conversation.",
        tasks.session,
        forms.SessionLog,
        problems=("not-found",),
    ),
    _get(
        f"{_TASK}/diff",
        "showDiff",
        "What a task changed, as a patch.",
        tasks.diff,
        TaskDiff,
        problems=("not-found", "usage", "config", "repository", "workspace"),
    ),
    _verb("steer", "Say something to the model of a task.", tasks.steer, forms.Steer),
    _verb("answer", "Answer the question of a task.", tasks.answer, forms.AnswerText),
    _verb("pause", "Let a task rest after its current turn.", tasks.pause, forms.PauseReason),
    _verb("resume", "Let a task go on.", tasks.resume, forms.ResumeForm),
    _verb("cancel", "End a task; its work is kept on its branch.", tasks.cancel, forms.CancelReason),
    _verb("retry", "Try a failed or cancelled task again.", tasks.retry, forms.Nothing),
    _verb("priority", "Give a task another place in the queue.", tasks.prioritise, forms.NewPriority),
    _get(
        _TASK,
        "showTask",
        "Everything that is known of a task.",
        tasks.show,
        TaskDetails,
        problems=("not-found",),
    ),
    _get(
        "/v1/events",
        "followAll",
        "What happens in all tasks.",
        standing.all_events,
        STREAM,
        asked=forms.FeedQuery,
        streams=True,
    ),
    _get("/v1/shadows", "listShadows", "Which shadows live.", standing.shadows, forms.Shadows),
    _get("/v1/stats", "showStats", "How things stand.", standing.stats, Stats),
    _get(
        "/v1/deliveries",
        "listDeliveries",
        "News that go out, newest first.",
        standing.deliveries,
        forms.Deliveries,
        asked=forms.DeliveryQuery,
    ),
    Operation(
        method="POST",
        path="/v1/deliveries/retry",
        name="retryDeliveries",
        summary="Try news again: those named, or all that expired or were refused.",
        do=standing.retry_deliveries,
        take="json",
        asked=forms.RetryForm,
        scope="control",
        answers={200: forms.Deliveries},
        problems=("usage",),
    ),
    _get("/", "showIndex", "A short page that names what is here.", standing.index, TEXT, scope=None),
    _get("/healthz", "isHealthy", "Whether this program lives.", standing.healthy, TEXT, scope=None, quiet=True),
    _get("/readyz", "isReady", "Whether this program can work.", standing.ready, TEXT, scope=None, quiet=True),
    _get("/openapi.json", "showDocument", "This document.", standing.describe, dict, scope=None),
    _get("/metrics", "showMetrics", "Figures for Prometheus.", standing.figures, TEXT),
    Operation(
        method="POST",
        path="/webhooks/{source}",
        name="takeWebhook",
        summary="Take what a source tells; signed, see the settings of `webhooks`.",
        do=standing.webhook,
        take="raw",
        answers={200: dict, 202: dict},
        problems=("unauthorised", "not-found", "conflict", "usage", "config", "repository", "queue-full", "workspace"),
    ),
    Operation(
        method="",
        path="/mcp",
        name="mcp",
        summary="The Model Context Protocol.",
        do=standing.mcp,
        take="nothing",
        scope="read",
        answers={},
        hidden=True,
    ),
)
