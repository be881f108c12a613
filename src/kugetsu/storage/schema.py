"""What is kept, as tables. The same on every engine; each change of it is a migration too.

Everything that SQL looks at has a column of its own; what is only carried is JSON. Tasks are known by their number inside.
"""

from typing import Final, get_args

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
    literal_column,
    true,
)

from kugetsu.protocols import DELIVERY_STATES
from kugetsu.storage.columns import ID, NUMBER, TEXT, amounts, index_of_some, one_of, task_number
from kugetsu.tasks import MOST_PRIORITY, NoteKind, TaskState, Wanted

STATES: Final[tuple[TaskState, ...]] = get_args(TaskState)

metadata: Final = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)

_QUEUED: Final = "((state = 'pending' OR (state = 'waiting' AND question = '')) AND blockers = 0)"
"""What `TaskRecord.queued` says."""


tasks: Final = Table(
    "tasks",
    metadata,
    Column("number", NUMBER, primary_key=True),
    Column("id", ID, nullable=False),
    Column("state", String(16), nullable=False),
    # What follows from the others, so that a short index finds what may be claimed now, ...
    Column("ready", Boolean, nullable=False),
    # ... when a task that waits for its time alone may be, and when one that was never started fails.
    Column("wakes_at", Double),
    Column("expires_at", Double),
    Column("generation", Integer, nullable=False),
    Column("worker", String, nullable=False),
    Column("rank", Double, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("queued_at", Double, nullable=False),
    Column("available_at", Double, nullable=False),
    Column("blockers", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("crashes", Double, nullable=False),
    Column("runs", Integer, nullable=False),
    Column("wanted", String(16), nullable=False),
    Column("repo", String, nullable=False),
    Column("model", String, nullable=False),
    Column("key", String),
    Column("reason", String, nullable=False),
    Column("question", String, nullable=False),
    Column("outcome", LargeBinary),
    Column("place", LargeBinary),
    Column("task", LargeBinary, nullable=False),
    Column("report", LargeBinary, nullable=False),
    # As `owner/repo#number host`, so that it is found without its host too.
    Column("subject", TEXT, nullable=False, server_default=""),
    UniqueConstraint("id"),
    UniqueConstraint("key"),
    CheckConstraint("length(id) BETWEEN 1 AND 64", name="id"),
    CheckConstraint(one_of("state", STATES), name="state"),
    CheckConstraint(one_of("wanted", get_args(Wanted)), name="wanted"),
    CheckConstraint("(state = 'running') = (worker <> '')", name="owned"),
    CheckConstraint(f"NOT ready OR {_QUEUED}", name="ready"),
    CheckConstraint(f"wakes_at IS NULL OR ({_QUEUED} AND NOT ready)", name="wakes"),
    CheckConstraint("expires_at IS NULL OR (state = 'pending' AND runs = 0)", name="expires"),
    CheckConstraint(f"priority BETWEEN -{MOST_PRIORITY} AND {MOST_PRIORITY}", name="priority"),
    CheckConstraint(
        "generation >= 0 AND runs >= 0 AND runs <= generation AND blockers >= 0 AND attempts >= 0 AND crashes >= 0",
        name="counts",
    ),
    sqlite_autoincrement=True,
)

workers: Final = Table(
    "workers",
    metadata,
    Column("id", String, primary_key=True),
    Column("host", String, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("name", String, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    CheckConstraint("id <> ''", name="id"),
)

runs: Final = Table(
    "runs",
    metadata,
    task_number(),
    Column("generation", Integer, nullable=False),
    Column("worker", String, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("outcome", LargeBinary),
    PrimaryKeyConstraint("task", "generation"),
    CheckConstraint("generation > 0", name="generation"),
    CheckConstraint("(ended_at IS NULL) = (outcome IS NULL)", name="ended"),
    Index(None, "started_at"),
)

entries: Final = Table(
    "entries",
    metadata,
    task_number(),
    Column("seq", Integer, nullable=False),
    Column("at", Double, nullable=False),
    Column("data", LargeBinary, nullable=False),
    PrimaryKeyConstraint("task", "seq"),
    CheckConstraint("seq > 0", name="seq"),
)

events: Final = Table(
    "events",
    metadata,
    # Of the events of all tasks, in the order in which they are written down.
    Column("number", NUMBER, primary_key=True),
    task_number(),
    Column("seq", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    UniqueConstraint("task", "seq"),
    CheckConstraint("seq > 0", name="seq"),
)

notes: Final = Table(
    "notes",
    metadata,
    Column("id", NUMBER, primary_key=True),
    task_number(),
    Column("kind", String(16), nullable=False),
    Column("text", String, nullable=False),
    Column("key", String),
    # A note that was taken stays, so that its key is known.
    Column("taken", Boolean, nullable=False),
    UniqueConstraint("task", "key"),
    CheckConstraint(one_of("kind", get_args(NoteKind)), name="kind"),
    sqlite_autoincrement=True,
)

dependencies: Final = Table(
    "dependencies",
    metadata,
    task_number(),
    Column("after", NUMBER, ForeignKey("tasks.number", ondelete="CASCADE"), nullable=False),
    # Whether `after` was completed once.
    Column("met", Boolean, nullable=False),
    PrimaryKeyConstraint("task", "after"),
    CheckConstraint("task <> after", name="other"),
    Index(None, "after"),
)

effects: Final = Table(
    "effects",
    metadata,
    task_number(),
    Column("turn", Integer, nullable=False),
    Column("call", String, nullable=False),
    Column("state", String(8), nullable=False),
    Column("payload", String, nullable=False),
    PrimaryKeyConstraint("task", "turn", "call"),
    CheckConstraint(one_of("state", ("begun", "done")), name="state"),
)

# Changes of tasks' states of which nobody was told yet.
changes: Final = Table(
    "changes",
    metadata,
    Column("id", NUMBER, primary_key=True),
    task_number(),
    Column("at", Double, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Index(None, "task"),
    sqlite_autoincrement=True,
)

deliveries: Final = Table(
    "deliveries",
    metadata,
    Column("id", NUMBER, primary_key=True),
    task_number(),
    Column("target", String, nullable=False),
    Column("event", String, nullable=False),
    Column("payload", String, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("error", String, nullable=False),
    CheckConstraint(one_of("state", DELIVERY_STATES), name="state"),
    CheckConstraint("(state = 'pending') = (ended_at IS NULL)", name="ended"),
    CheckConstraint("attempts >= 0", name="attempts"),
    sqlite_autoincrement=True,
)

# Who may do what over HTTP; of the tokens themselves there are digests alone.
tokens: Final = Table(
    "tokens",
    metadata,
    Column("number", NUMBER, primary_key=True),
    Column("id", String, nullable=False),
    Column("name", String, nullable=False),
    Column("digest", String, nullable=False),
    Column("scopes", LargeBinary, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("revoked_at", Double, nullable=False),
    UniqueConstraint("id"),
    CheckConstraint("id <> '' AND name <> '' AND digest <> ''", name="names"),
)

# A row for each repository that used anything up on a day (UTC).
spending: Final = Table(
    "spending",
    metadata,
    Column("day", String(10), nullable=False),
    Column("repo", String, nullable=False),
    *amounts(),
    PrimaryKeyConstraint("day", "repo"),
)

# What runs have set aside; ends with the run.
reservations: Final = Table(
    "reservations",
    metadata,
    Column("task", NUMBER, ForeignKey("tasks.number", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("repo", String, nullable=False),
    *amounts(),
)


ready: Final = tasks.c.ready == true()
"""Tasks that may be claimed now."""

owned: Final = tasks.c.worker != literal_column("''")
"""Tasks that run."""

waiting: Final = notes.c.taken != true()
"""Notes that no run has taken yet."""

about: Final = tasks.c.subject != literal_column("''")
"""Tasks that are about something with a name."""

pending: Final = deliveries.c.state == literal_column("'pending'")
"""Deliveries that are on their way."""

counting: Final = tokens.c.revoked_at == literal_column("0")
"""Tokens that are not revoked."""


Index("tasks_state", tasks.c.state, tasks.c.number)
index_of_some("tasks_next", ready, tasks.c.rank, tasks.c.number, tasks.c.repo, tasks.c.model, tasks.c.wanted)
index_of_some("tasks_waking", tasks.c.wakes_at.is_not(None), tasks.c.wakes_at)
index_of_some("tasks_expiring", tasks.c.expires_at.is_not(None), tasks.c.expires_at)
index_of_some("tasks_owned", owned, tasks.c.worker, tasks.c.repo, tasks.c.model)
Index("workers_leased", workers.c.expires_at)
index_of_some("notes_waiting", waiting, notes.c.task)
index_of_some("tasks_subject", about, tasks.c.subject, tasks.c.number)
Index("deliveries_task", deliveries.c.task, deliveries.c.target, deliveries.c.state, deliveries.c.id)
index_of_some("deliveries_due", pending, deliveries.c.due_at, deliveries.c.id)
index_of_some("deliveries_ended", deliveries.c.ended_at.is_not(None), deliveries.c.ended_at)
index_of_some("tokens_name", counting, tokens.c.name, unique=True)
