"""What users do with tasks, whichever way they come: the command line, HTTP, MCP, webhooks, a program.

One contract with two implementations: on the store of this machine (`app.service`), and over HTTP (`client`).
"""

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Final, Protocol

import msgspec

from kugetsu.events import Event
from kugetsu.protocols.outbox import Delivery, DeliveryState
from kugetsu.sessions import LogLine
from kugetsu.tasks import Control, Limits, Outcome, TaskReport, TaskState, Wanted

MADE_UP_KEY: Final = "client-"
"""How keys begin that a client makes up so that it may repeat a request; they are no names that a user gave."""


class NewTask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What somebody wants done. What is None or empty comes from the project's settings, then from all settings.

    Attributes:
        prompt: the job, in the user's words.
        repo: path or URL, as the machine sees it that does the work; may be left out when `subject` names a project.
        model: `provider/model`.
        base: branch, tag or commit to start from; empty for the branch that is checked out.
        check: shell command whose success proves the work; empty for none.
        check_seconds: time limit of the check.
        instructions: added to the agent's system prompt.
        turns, wall_seconds, idle_seconds, tokens, usd: limits, see `tasks.Limits`. Who has no `admin` scope can only lower
            what the settings say.
        priority: -100 to 100; higher goes first.
        after: ids of tasks that must be completed before; a unique beginning is enough.
        delay: start no earlier than so many seconds from now.
        start_at: start no earlier; seconds since the epoch.
        deadline_at: fails when it has not been started by then; seconds since the epoch.
        attempts: tries altogether when it fails in a way that may pass.
        commit_leftovers: commit at the end what the agent did not.
        keep_workspace: keep the worktree even when all its work is delivered.
        subject: what it is about: `host/owner/repo#number`, or the URL of an issue.
        reply_to: who hears what becomes of it, see `tasks.Task`.
        notices: what the user should know of how it was set up.
        key: the submitter's own name for it: submitted twice, it is one task.
    """

    prompt: str
    repo: str = ""
    model: str = ""
    base: str = ""
    check: str | None = None
    check_seconds: float | None = None
    instructions: str | None = None
    turns: int | None = None
    wall_seconds: float | None = None
    idle_seconds: float | None = None
    tokens: int | None = None
    usd: float | None = None
    priority: int = 0
    after: tuple[str, ...] = ()
    delay: float = 0.0
    start_at: float = 0.0
    deadline_at: float = 0.0
    attempts: int | None = None
    commit_leftovers: bool | None = None
    keep_workspace: bool | None = None
    subject: str = ""
    reply_to: dict[str, str] = {}
    notices: tuple[str, ...] = ()
    key: str = ""


class WorkerName(msgspec.Struct, frozen=True):
    """Who works on a task."""

    name: str
    pid: int


class PastRun(msgspec.Struct, frozen=True):
    """One execution of a task.

    Attributes:
        started_at, ended_at: seconds since the epoch; None while it goes on.
        outcome: None while it goes on.
        worker: who had it, None for one that is gone.
    """

    started_at: float
    ended_at: float | None = None
    outcome: Outcome | None = None
    worker: WorkerName | None = None


class TaskDetails(TaskReport, frozen=True, kw_only=True):
    """Everything that is known of a task: its report, and what the queue knows.

    Attributes:
        key: the submitter's own name for it, empty for none.
        after: ids of tasks that must be completed before.
        deadline_at: fails when it has not been started by then; 0 for never.
        forked_from: `ID:TURN`, empty for none.
        most_attempts: tries altogether.
        wanted: what a user wants of it that only its worker can do, with the reason.
        worker: who has it, None for nobody.
        worktree: where its work is, empty before there is any.
        limits: what it may use up.
        reply_to: who hears what becomes of it.
        run_history: its runs, oldest first.
        served: whether a worker lives that takes tasks from the queue.
    """

    key: str = ""
    after: tuple[str, ...] = ()
    deadline_at: float = 0.0
    forked_from: str = ""
    most_attempts: int = 1
    wanted: Wanted = ""
    wanted_reason: str = ""
    worker: WorkerName | None = None
    worktree: str = ""
    limits: Limits = Limits()
    reply_to: dict[str, str] = msgspec.field(default_factory=dict)
    run_history: tuple[PastRun, ...] = ()
    served: bool = False


class Accepted(msgspec.Struct, frozen=True):
    """What became of a submission.

    Attributes:
        created: False when a task with the same key was there already; it is that one.
    """

    task: TaskDetails
    created: bool


class TaskPage(msgspec.Struct, frozen=True):
    """Tasks, newest first.

    Attributes:
        next: where the next page begins, for `before`; 0 when this is the last.
    """

    tasks: tuple[TaskReport, ...]
    next: int = 0


class TaskDiff(msgspec.Struct, frozen=True):
    """What a task changed.

    Attributes:
        base: the commit it starts from.
        branch: where the work is delivered.
        diff: as a patch; bytes that are no UTF-8 are replaced.
    """

    id: str
    base: str
    branch: str
    diff: str


class ShadowInfo(msgspec.Struct, frozen=True):
    """A shadow that lives.

    Attributes:
        task: id of its task.
        run: the generation of its run; 0 before it has begun.
        since: when it came to life; seconds since the epoch.
        turn: the one it is in; 0 before the first.
        doing: what it does, in a word or two.
    """

    task: str
    run: int
    since: float
    turn: int
    doing: str


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """How things stand.

    Attributes:
        tasks: how many are in each state.
        shadows: how many live in the server; 0 when there is none.
        task_slots: how many may.
        most_pending: how many tasks may be pending; 0 for no limit.
        commands: how many commands of agents run.
        commands_waiting: how many wait for a place.
        memory_available: bytes; None when nobody knows.
        deliveries: how many are in each state.
        served: whether a worker lives that takes tasks from the queue.
        uptime: of the server, in seconds; 0 when there is none.
    """

    tasks: dict[TaskState, int]
    shadows: int = 0
    task_slots: int = 0
    most_pending: int = 0
    commands: int = 0
    commands_waiting: int = 0
    memory_available: int | None = None
    deliveries: dict[DeliveryState, int] = {}
    served: bool = False
    uptime: float = 0.0


class NumberedEvent(msgspec.Struct, frozen=True):
    """An event in the order in which those of all tasks were written down.

    Attributes:
        number: rises from one to the next, with gaps.
    """

    number: int
    event: Event


class TaskRecords(Protocol):
    """What users see of tasks.

    A task is named by its id or a unique beginning of it, or by its subject (`host/owner/repo#number`, the newest task about
    it). Every method may raise `TaskNotFoundError` when there is none such, and `RecordError` when what is kept cannot be
    used; the implementation over HTTP also `ServerError` when the server does not answer as it should, and `AccessError`
    when it does not let the caller.
    """

    async def show(self, task: str) -> TaskDetails:
        """Everything that is known of a task, as it is now."""
        ...

    async def list(self, *, states: Collection[TaskState] = (), most: int = 50, before: int = 0) -> TaskPage:
        """Tasks, newest first.

        Args:
            states: those in one of these; empty for all.
            most: how many, at least 1.
            before: where the page begins, as the one before says; 0 for the newest.
        """
        ...

    def events(self, task: str, *, after: int = 0, follow: bool = False) -> AsyncIterator[Event]:
        """What happened in a task, oldest first.

        Args:
            task: which.
            after: the number of the last event that is known already.
            follow: go on with what happens, until the task is over or halts.
        """
        ...

    def feed(self, *, after: int | None = None) -> AsyncIterator[NumberedEvent]:
        """What happens in all tasks, without an end.

        Args:
            after: the number of the last event that is known already; None to begin with what happens from now on.
        """
        ...

    async def session(self, task: str) -> Sequence[LogLine]:
        """The log of a task's conversation, oldest first."""
        ...

    async def diff(self, task: str) -> TaskDiff:
        """What a task changed: what is in its worktree while that is there, else on its branch.

        Raises:
            UsageError: it has no branch (yet).
            WorkspaceError: git could not say.
        """
        ...

    async def shadows(self) -> Sequence[ShadowInfo]:
        """Which shadows live in the server; none when there is no server."""
        ...

    async def stats(self) -> Stats:
        """How things stand."""
        ...

    async def deliveries(
        self, *, states: Collection[DeliveryState] = (), most: int = 50, before: int = 0
    ) -> Sequence[Delivery]:
        """News that go out, newest first.

        Args:
            states: those in one of these; empty for all.
            most: how many, at least 1.
            before: only those with a lower id; 0 for all.
        """
        ...


class TaskService(TaskRecords, Protocol):
    """What users do with tasks; see `TaskRecords` for how a task is named and what every method may raise."""

    async def submit(self, new: NewTask) -> Accepted:
        """Put a task into the queue. It is accepted when this returns. With a key it may be called twice.

        Raises:
            UsageError: something in it cannot be so: no prompt, no repository, unknown model.
            StateConflictError: the key is that of a task that asked for something else; or one that must be completed
                before never will be.
            QueueFullError: there is no room; says how long to wait.
        """
        ...

    async def control(self, task: str, control: Control) -> TaskDetails:
        """Do what a user asks for; may be repeated without doing anything twice.

        Raises:
            StateConflictError: it makes no sense in the task's state.
        """
        ...

    async def resume(self, task: str, limits: dict[str, float]) -> TaskDetails:
        """Let a task go on, with some of its limits changed; as `control` with `Resume`.

        Args:
            task: which.
            limits: the changed ones by their names in `tasks.Limits`.

        Raises:
            UsageError: a limit cannot be so.
            StateConflictError: it makes no sense in the task's state.
        """
        ...

    async def retry_deliveries(self, ids: Collection[int] = ()) -> Sequence[Delivery]:
        """Try news again: those named, or all that expired or were refused."""
        ...
