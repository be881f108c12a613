"""What the tools are told. The JSON Schema that clients show to their models is made from these."""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from kugetsu.tasks import MOST_PRIORITY, TaskState

MOST_WAIT: Final = 30.0
"""Seconds that one call may wait; clients that serialise their calls stand still meanwhile."""

MOST_LISTED: Final = 50
MOST_DIFF: Final = 60_000
MOST_EVENTS: Final = 200

TaskName = Annotated[
    str, Meta(description="Id of the task (a unique beginning is enough), or its subject: host/owner/repo#number.")
]
WaitSeconds = Annotated[
    float,
    Meta(
        description="Wait up to so many seconds, until the task is over or needs somebody. "
        f"Default 0: answer at once. At most {MOST_WAIT:g}; more counts as {MOST_WAIT:g}."
    ),
]
Priority = Annotated[int, Meta(ge=-MOST_PRIORITY, le=MOST_PRIORITY)]

Action = Literal["steer", "answer", "cancel", "pause", "resume", "retry", "priority"]
"""What can be done to a task."""


class SubmitArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A job for a coding agent."""

    prompt: Annotated[
        str,
        Meta(
            description="The job, complete in itself: the agent sees the repository, but nothing of this conversation."
        ),
    ]
    repo: Annotated[
        str,
        Meta(
            description="Path or URL of the git repository. "
            "Default: the project of `subject`, else the directory this server was started in."
        ),
    ] = ""
    model: Annotated[str, Meta(description="`provider/model`. Default: as configured.")] = ""
    base: Annotated[
        str, Meta(description="Branch, tag or commit to start from. Default: the branch that is checked out.")
    ] = ""
    check: Annotated[
        str,
        Meta(description="Shell command whose success proves the work, such as `pytest -q`. Default: as configured."),
    ] = ""
    priority: Annotated[Priority, Meta(description="Higher goes first. Default 0.")] = 0
    after: Annotated[tuple[str, ...], Meta(description="Ids of tasks that must be completed before.")] = ()
    subject: Annotated[str, Meta(description="The issue it is about: host/owner/repo#number, or its URL.")] = ""
    key: Annotated[str, Meta(description="Your own name for this job: submitted twice, it is one task.")] = ""
    reply_to: Annotated[
        dict[str, str],
        Meta(
            description="Who is told what becomes of it: `target` names one that is configured, the rest (`platform`, "
            "`chat_id`, ...) is handed to it. Default: those who hear of all tasks."
        ),
    ] = {}
    wait_seconds: WaitSeconds = 0.0


class StatusArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which tasks to look at."""

    task: Annotated[str, Meta(description=f"{TaskName.__metadata__[0].description} Leave it out to list tasks.")] = ""
    states: Annotated[tuple[TaskState, ...], Meta(description="List only tasks in these states. Default: all.")] = ()
    limit: Annotated[int, Meta(ge=1, le=MOST_LISTED, description="How many to list. Default 10.")] = 10
    before: Annotated[int, Meta(ge=0, description="Where the list goes on: `older` of the answer before.")] = 0


class LimitChanges(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits that change; the others stay."""

    turns: Annotated[int, Meta(ge=0, description="Model replies. 0: no limit.")] | UnsetType = UNSET
    wall_seconds: Annotated[float, Meta(ge=0, description="Time of one run. 0: no limit.")] | UnsetType = UNSET
    idle_seconds: Annotated[float, Meta(ge=0, description="Time without an event. 0: no limit.")] | UnsetType = UNSET
    tokens: Annotated[int, Meta(ge=0, description="Of all model calls. 0: no limit.")] | UnsetType = UNSET
    usd: Annotated[float, Meta(ge=0, description="Money for model calls. 0: no limit.")] | UnsetType = UNSET


class ControlArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to do to a task."""

    task: TaskName
    action: Annotated[
        Action,
        Meta(
            description="steer: say `text` to its agent. answer: answer its question with `text`. cancel: end it, its work "
            "is kept. pause: let it rest after its turn. resume: let it go on. retry: try a failed or cancelled one again. "
            "priority: give it another place in the queue."
        ),
    ]
    text: Annotated[
        str, Meta(description="What to say (steer), the answer (answer), or the reason (cancel, pause).")
    ] = ""
    priority: Annotated[Priority, Meta(description="For the action priority: higher goes first.")] | UnsetType = UNSET
    limits: Annotated[LimitChanges, Meta(description="For resume: limits it has from now on.")] | UnsetType = UNSET


class ResultArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose result to show."""

    task: TaskName
    wait_seconds: WaitSeconds = 0.0
    diff_characters: Annotated[
        int,
        Meta(ge=0, le=MOST_DIFF, description="How much of the diff to show. Default 8,000. 0: none."),
    ] = 8_000


class LogsArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose events to show."""

    task: TaskName
    limit: Annotated[int, Meta(ge=1, le=MOST_EVENTS, description="How many of the last events. Default 20.")] = 20
