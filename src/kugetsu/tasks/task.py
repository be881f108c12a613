"""A task: what was asked for, and what became of it."""

import math
import re
from typing import Any, Final, Literal

import msgspec

from kugetsu.errors import LimitKind, ModelFailure, UsageError
from kugetsu.messages import Usage, well_formed
from kugetsu.tasks.redaction import redacted

TaskState = Literal["pending", "running", "waiting", "paused", "completed", "failed", "cancelled"]
"""Where a task stands. `waiting` is for an answer, a time or a quota; the last three are final."""

OutcomeClass = (
    Literal[
        "completed",
        "cancelled",
        "interrupted",
        "question",
        "paused",
        "check_failed",
        "expired",
        "dependency",
        "poisonous",
        "workspace",
        "internal",
    ]
    | ModelFailure
    | LimitKind
)
"""How a run ended, or why there was none. Beside its own: each way a model call can fail, each limit that can be hit.

`interrupted`, `question` and `paused` end a run but not its task. `expired`: the deadline passed in the queue.
`dependency`: a task that had to complete before did not. `poisonous`: the worker died with it too often.
"""

FINAL_STATES: Final[frozenset[TaskState]] = frozenset({"completed", "failed", "cancelled"})

MOST_PRIORITY: Final = 100
"""The highest priority; the lowest is the same below 0."""


_REPLY_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
_MOST_REPLY_NAMES: Final = 16
_LONGEST_REPLY: Final = 500

MOST_INTEGER: Final = 2**63 - 1
"""The highest number that a store keeps."""


def _require_numbers(struct: msgspec.Struct) -> None:
    """Look whether the numbers in a struct can be stored and read back.

    Raises:
        ValueError: one cannot; the message names its field.
    """
    for field in struct.__struct_fields__:
        match getattr(struct, field):
            case float() as value if not math.isfinite(value):
                raise ValueError(f"`{field}` must be a finite number, got {value:g}")
            case int() as value if abs(value) > MOST_INTEGER:
                raise ValueError(f"`{field}` must be at most {MOST_INTEGER}")
            case _:
                pass


def require_reply_to(reply_to: dict[str, str]) -> None:
    """Look whether an address for replies is one.

    Raises:
        ValueError: a name or a value in it cannot be; the message says which.
    """
    if len(reply_to) > _MOST_REPLY_NAMES:
        raise ValueError(f"`reply_to` must have at most {_MOST_REPLY_NAMES} names, got {len(reply_to)}")
    for name, value in reply_to.items():
        if not _REPLY_NAME.fullmatch(name):
            raise ValueError(f"`reply_to` has the name {name[:40]!a}: use a-z, 0-9 and `_`, a letter first, at most 32")
        if len(value) > _LONGEST_REPLY or not value.isprintable():
            raise ValueError(f"`reply_to.{name}` must be one line of at most {_LONGEST_REPLY} printable characters")


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one task may use up. 0 means no limit.

    Attributes:
        turns: model replies. Default 200.
        wall_seconds: time since the agent began, in one run; making the worktree and the check have limits of their own.
            Default 3,600.
        idle_seconds: time since the last event. Default 900; keep it above the longest time limit of a command.
        tokens: input and output of all model calls together. Default 20,000,000.
        usd: money for model calls; a model whose price is unknown is not counted. Default 10.
    """

    turns: int = 200
    wall_seconds: float = 3600.0
    idle_seconds: float = 900.0
    tokens: int = 20_000_000
    usd: float = 10.0

    def __post_init__(self) -> None:
        _require_numbers(self)
        for field in self.__struct_fields__:
            if (value := getattr(self, field)) < 0:
                raise ValueError(f"`{field}` must be 0 (no limit) or more, got {value:g}")

    def tightened(self, other: "Limits") -> "Limits":
        """The stricter of the two, limit by limit."""
        pairs = ((field, getattr(self, field), getattr(other, field)) for field in self.__struct_fields__)
        return Limits(**{field: min(a, b) if a and b else a or b for field, a, b in pairs})


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What a user asked for.

    Attributes:
        id: unique, see `new_task_id`.
        prompt: the job, in the user's words.
        repo: path or URL as the user gave it.
        model: `provider/model`.
        base: branch, tag or commit to start from; empty for the branch that is checked out.
        check: shell command whose success proves the work; empty for none.
        instructions: added to the agent's system prompt.
        created_at: seconds since the epoch.
        notices: what the user should know of how the task was set up, one sentence each.
        priority: -100 to 100; higher goes first, see `tasks.queueing`.
        start_at: not before this time, in seconds since the epoch; 0 for at once.
        deadline_at: fails when it has not been started by this time; 0 for none.
        after: ids of tasks that must be completed before.
        attempts: tries altogether when it fails in a way that may pass.
        patience_seconds: how long it may wait in all for a provider that has no capacity; 0 to fail at once.
        commit_leftovers: commit at the end what the agent did not.
        keep_workspace: keep the worktree even when all its work is delivered.
        forked_from: `ID:TURN` of the session that its own begins with, empty for none.
        subject: what it is about, as `host/owner/repo#number` (see `tasks.subjects`); empty for nothing that has a name.
        reply_to: who hears what becomes of it: `target` names one of the settings' `notify`, whatever else is there is
            handed to it (`platform`, `chat_id`, `thread_id`, ...). Empty for nobody of its own.
    """

    id: str
    prompt: str
    repo: str
    model: str
    base: str = ""
    check: str = ""
    check_seconds: float = 600.0
    limits: Limits = Limits()
    instructions: str = ""
    created_at: float = 0.0
    notices: tuple[str, ...] = ()
    priority: int = 0
    start_at: float = 0.0
    deadline_at: float = 0.0
    after: tuple[str, ...] = ()
    attempts: int = 1
    patience_seconds: float = 0.0
    commit_leftovers: bool = True
    keep_workspace: bool = False
    forked_from: str = ""
    subject: str = ""
    reply_to: dict[str, str] = {}

    def __post_init__(self) -> None:
        if not -MOST_PRIORITY <= self.priority <= MOST_PRIORITY:
            raise ValueError(f"`priority` must be from -{MOST_PRIORITY} to {MOST_PRIORITY}, got {self.priority}")
        if self.attempts < 1:
            raise ValueError(f"`attempts` must be 1 or more, got {self.attempts}")
        require_reply_to(self.reply_to)
        _require_numbers(self)

    def require_well_formed(self) -> None:
        """Look whether its texts can be kept as they are. The words to the model may be mended, names may not.

        Raises:
            UsageError: one of them holds bytes that are no UTF-8.
        """
        for field in ("repo", "base", "model", "check"):
            text = getattr(self, field)
            if well_formed(text) != text:
                raise UsageError(
                    f"`{field}` is not well-formed Unicode: {ascii(text)[1:-1]}", fix="use a path and names in UTF-8"
                )


class Outcome(msgspec.Struct, frozen=True, rename={"kind": "class"}, omit_defaults=True):
    """The one explicit end of a run.

    Attributes:
        until: when what was missing will be there again, in seconds since the epoch; 0 when nobody knows.
    """

    kind: OutcomeClass
    message: str
    until: float = 0.0

    def __post_init__(self) -> None:
        _require_numbers(self)


class Commit(msgspec.Struct, frozen=True):
    """A commit that the task added to its base."""

    sha: str
    subject: str


class Changes(msgspec.Struct, frozen=True):
    """What a workspace holds relative to its base, committed or not.

    Attributes:
        commits: oldest first.
        uncommitted: whether the worktree holds work that no commit has.
    """

    commits: tuple[Commit, ...] = ()
    files_changed: int = 0
    insertions: int = 0
    deletions: int = 0
    uncommitted: bool = False

    @property
    def empty(self) -> bool:
        """Whether nothing was changed."""
        return not (self.commits or self.files_changed or self.uncommitted)


class CheckResult(msgspec.Struct, frozen=True):
    """What the check command said.

    Attributes:
        passed: whether it exited with 0 in time; None when it was not run.
        exit_code: None when it was not run or was ended at its time limit.
        output_tail: the last part of what it printed, or why it was not run.
    """

    command: str
    passed: bool | None
    exit_code: int | None
    output_tail: str


class TaskReport(msgspec.Struct, frozen=True, kw_only=True):
    """A task and everything that was computed about it. This is what users and gateways are shown.

    Attributes:
        outcome: how its last run ended, or why there will be none; None before that.
        summary: the agent's last words.
        base: commit the work starts from, empty until the workspace exists.
        branch: where the work is delivered, empty until the workspace exists.
        check: None when the task has no check.
        seconds: wall time of all runs together.
        session: id of the session log.
        notes: what the user should know about this run, one sentence each.
        question: what the model asks, empty when it asks nothing.
        available_at: when a pending task may start; seconds since the epoch, 0 for at once.
        waits_for: how many tasks must be completed before.
        runs: how many runs were begun.
        attempts: how many of them failed.
        subject: what it is about, as `host/owner/repo#number`; empty for nothing that has a name.
        number: order of arrival, from 1; 0 before it arrived.
    """

    id: str
    state: TaskState
    outcome: Outcome | None = None
    summary: str = ""
    prompt: str
    model: str
    repo: str
    base: str = ""
    branch: str = ""
    commits: tuple[Commit, ...] = ()
    files_changed: int = 0
    insertions: int = 0
    deletions: int = 0
    uncommitted: bool = False
    check: CheckResult | None = None
    turns: int = 0
    tool_calls: int = 0
    usage: Usage = Usage()
    seconds: float = 0.0
    session: str = ""
    notes: tuple[str, ...] = ()
    created_at: float = 0.0
    priority: int = 0
    question: str = ""
    available_at: float = 0.0
    waits_for: int = 0
    runs: int = 0
    attempts: int = 0
    subject: str = ""
    number: int = 0

    @classmethod
    def of(cls, task: Task) -> "TaskReport":
        """The report of a task of which nothing is known yet; credentials in its address are left out."""
        return cls(
            id=task.id,
            state="pending",
            prompt=task.prompt,
            model=task.model,
            repo=redacted(task.repo),
            notes=task.notices,
            created_at=task.created_at,
            priority=task.priority,
            session=task.id,
            subject=task.subject,
        )

    def with_changes(self, changes: Changes) -> "TaskReport":
        """The same report, with what the workspace holds."""
        fields: dict[str, Any] = {name: getattr(changes, name) for name in Changes.__struct_fields__}
        return msgspec.structs.replace(self, **fields)
