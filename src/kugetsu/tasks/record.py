"""A task where it stands in the queue: everything about it that changes, apart from its session."""

from typing import Literal, TypeAlias

import msgspec

from kugetsu.tasks.queueing import rank
from kugetsu.tasks.task import FINAL_STATES, Limits, Outcome, Task, TaskReport, TaskState

Wanted = Literal["", "cancel", "pause"]
"""What a user wants of a task that only its worker can do."""

NoteKind = Literal["steering", "follow_up", "answer", "retry"]
"""What a note is: said in mid-run, said at the end, the answer to the task's question, or why it is tried again."""


class Note(msgspec.Struct, frozen=True):
    """Something a user says to a task; it waits until a run takes it into the session.

    Attributes:
        id: counts the notes of all tasks.
    """

    id: int
    kind: NoteKind
    text: str


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a task's work is. Written down before anything is done there.

    Attributes:
        base: full id of the commit it starts from.
        branch: the branch in the user's repository.
        path: the worktree's directory.
        details: what the workspace adapter needs to find it again.
    """

    base: str
    branch: str
    path: str
    details: dict[str, str] = {}


class TaskRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A task in the queue.

    Attributes:
        number: order of arrival.
        report: what was computed last; for what users see take `shown`.
        queued_at: since when its waiting counts; seconds since the epoch.
        available_at: not before this time; 0 for at once.
        blockers: how many tasks must still be completed before.
        attempts: failed attempts that count.
        crashes: how many deaths of workers are put down to it since it made headway; a share of one when it was not alone
            (see `tasks.orphaned`).
        generation: raised whenever a worker gets or loses the task: the fencing token; also the number of the last run.
        runs: how many runs were begun.
        worker: who has it, empty for nobody.
        wanted: what a user wants of it, with the reason.
        question: what the model asks, empty when it asks nothing.
        outcome: how its last run ended, or why there will be none.
        place: where its work is, None before there is any.
        key: the submitter's own name for it, empty for none.
    """

    task: Task
    number: int
    report: TaskReport
    state: TaskState = "pending"
    priority: int = 0
    queued_at: float = 0.0
    available_at: float = 0.0
    blockers: int = 0
    attempts: int = 0
    crashes: float = 0.0
    generation: int = 0
    runs: int = 0
    worker: str = ""
    wanted: Wanted = ""
    reason: str = ""
    question: str = ""
    outcome: Outcome | None = None
    place: Place | None = None
    key: str = ""

    @property
    def id(self) -> str:
        """The task's id."""
        return self.task.id

    @property
    def rank(self) -> float:
        """Its place in the queue, see `tasks.queueing.rank`."""
        return rank(self.queued_at, self.priority)

    @property
    def waits_for_answer(self) -> bool:
        """Whether it waits for an answer, not for a time."""
        return self.state == "waiting" and bool(self.question)

    @property
    def queued(self) -> bool:
        """Whether it waits for nothing but its time and its turn: then it starts by itself."""
        return (self.state == "pending" or (self.state == "waiting" and not self.question)) and not self.blockers

    @property
    def final(self) -> bool:
        """Whether it is over."""
        return self.state in FINAL_STATES

    @property
    def shown(self) -> TaskReport:
        """What users see: the report, with where the task stands now."""
        return msgspec.structs.replace(
            self.report,
            state=self.state,
            outcome=self.outcome,
            priority=self.priority,
            question=self.question,
            available_at=self.available_at,
            waits_for=self.blockers,
            runs=self.runs,
            attempts=self.attempts,
            subject=self.task.subject,
            number=self.number,
        )


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of a task by one worker.

    Attributes:
        generation: the fencing token it had.
        ended_at: None while it goes on.
        outcome: None while it goes on; class `interrupted` for a worker that died.
    """

    generation: int
    worker: str
    started_at: float
    ended_at: float | None = None
    outcome: Outcome | None = None


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """End the task; its work is kept on the branch."""

    reason: str = "cancelled by the user"


class Pause(msgspec.Struct, frozen=True, tag="pause"):
    """Let it rest after its current turn."""

    reason: str = "paused by the user"


class Resume(msgspec.Struct, frozen=True, tag="resume"):
    """Let it go on: after a pause, or before its time has come.

    Attributes:
        limits: those that it has from now on; None for the ones it had.
    """

    limits: Limits | None = None


class Retry(msgspec.Struct, frozen=True, tag="retry"):
    """Try a failed or cancelled task again, with what was tried in mind."""


class Say(msgspec.Struct, frozen=True, tag="say"):
    """Say something to the model: as soon as its running calls are done, or when it would stop.

    Attributes:
        key: the sender's own name for it; a second one of the same name is not heard. Empty for none.
    """

    text: str
    kind: Literal["steering", "follow_up"] = "steering"
    key: str = ""


class Answer(msgspec.Struct, frozen=True, tag="answer"):
    """Answer the task's question."""

    text: str


class Prioritise(msgspec.Struct, frozen=True, tag="prioritise"):
    """Give it another priority."""

    priority: int


Control: TypeAlias = Cancel | Pause | Resume | Retry | Say | Answer | Prioritise
"""What a user may do to a task in any state; each may be repeated without doing anything twice."""


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """What a run leaves its task in.

    Attributes:
        state: never `running`.
        report: what was computed.
        available_at: for `pending`, and for `waiting` without a question: not before this time; 0 for at once.
        attempts: failed attempts that count.
        question: for `waiting`: what the model asks; empty when it waits for a time.
    """

    state: TaskState
    outcome: Outcome
    report: TaskReport
    available_at: float = 0.0
    attempts: int = 0
    question: str = ""
