"""What is kept, as tables. The same on every engine; each change of it is a migration too.

Everything that SQL looks at has a column of its own; what is only carried is JSON. Tasks are known by their number inside.
"""

from typing import Any, Final, get_args

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
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
from sqlalchemy.schema import SchemaItem

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

# Compared byte by byte on every engine, so that a prefix is a range.
_ID: Final = String(64).with_variant(String(64, collation="C"), "postgresql")
_NUMBER: Final = BigInteger().with_variant(Integer(), "sqlite")


def _one_of(column: str, values: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


_QUEUED: Final = "((state = 'pending' OR (state = 'waiting' AND question = '')) AND blockers = 0)"
"""What `TaskRecord.queued` says."""


def _amounts() -> tuple[SchemaItem, ...]:
    """What `Spent` says."""
    return (
        Column("usd", Double, nullable=False),
        Column("tokens", BigInteger, nullable=False),
        Column("turns", BigInteger, nullable=False),
        Column("seconds", Double, nullable=False),
        CheckConstraint("usd >= 0 AND tokens >= 0 AND turns >= 0 AND seconds >= 0", name="amounts"),
    )


def _task_number() -> Column[int]:
    return Column("task", _NUMBER, ForeignKey("tasks.number", ondelete="CASCADE"), nullable=False)


tasks: Final = Table(
    "tasks",
    metadata,
    Column("number", _NUMBER, primary_key=True),
    Column("id", _ID, nullable=False),
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
    UniqueConstraint("id"),
    UniqueConstraint("key"),
    CheckConstraint("length(id) BETWEEN 1 AND 64", name="id"),
    CheckConstraint(_one_of("state", STATES), name="state"),
    CheckConstraint(_one_of("wanted", get_args(Wanted)), name="wanted"),
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
    _task_number(),
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
    _task_number(),
    Column("seq", Integer, nullable=False),
    Column("at", Double, nullable=False),
    Column("data", LargeBinary, nullable=False),
    PrimaryKeyConstraint("task", "seq"),
    CheckConstraint("seq > 0", name="seq"),
)

events: Final = Table(
    "events",
    metadata,
    _task_number(),
    Column("seq", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    PrimaryKeyConstraint("task", "seq"),
    CheckConstraint("seq > 0", name="seq"),
)

notes: Final = Table(
    "notes",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    _task_number(),
    Column("kind", String(16), nullable=False),
    Column("text", String, nullable=False),
    Column("key", String),
    # A note that was taken stays, so that its key is known.
    Column("taken", Boolean, nullable=False),
    UniqueConstraint("task", "key"),
    CheckConstraint(_one_of("kind", get_args(NoteKind)), name="kind"),
    sqlite_autoincrement=True,
)

dependencies: Final = Table(
    "dependencies",
    metadata,
    _task_number(),
    Column("after", _NUMBER, ForeignKey("tasks.number", ondelete="CASCADE"), nullable=False),
    # Whether `after` was completed once.
    Column("met", Boolean, nullable=False),
    PrimaryKeyConstraint("task", "after"),
    CheckConstraint("task <> after", name="other"),
    Index(None, "after"),
)

effects: Final = Table(
    "effects",
    metadata,
    _task_number(),
    Column("turn", Integer, nullable=False),
    Column("call", String, nullable=False),
    Column("state", String(8), nullable=False),
    Column("payload", String, nullable=False),
    PrimaryKeyConstraint("task", "turn", "call"),
    CheckConstraint(_one_of("state", ("begun", "done")), name="state"),
)

# A row for each repository that used anything up on a day (UTC).
spending: Final = Table(
    "spending",
    metadata,
    Column("day", String(10), nullable=False),
    Column("repo", String, nullable=False),
    *_amounts(),
    PrimaryKeyConstraint("day", "repo"),
)

# What runs have set aside; ends with the run.
reservations: Final = Table(
    "reservations",
    metadata,
    Column("task", _NUMBER, ForeignKey("tasks.number", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("repo", String, nullable=False),
    *_amounts(),
)


ready: Final = tasks.c.ready == true()
"""Tasks that may be claimed now."""

owned: Final = tasks.c.worker != literal_column("''")
"""Tasks that run."""

waiting: Final = notes.c.taken != true()
"""Notes that no run has taken yet."""


def _index(name: str, where: ColumnElement[bool], *columns: Column[Any]) -> None:
    """An index of a few rows among many; a query uses it when it says `where` in the same words.

    To PostgreSQL, whose dialect takes long to import, the migrations alone say `where`.
    """
    Index(name, *columns, sqlite_where=where)


Index("tasks_state", tasks.c.state, tasks.c.number)
_index("tasks_next", ready, tasks.c.rank, tasks.c.number, tasks.c.repo, tasks.c.model, tasks.c.wanted)
_index("tasks_waking", tasks.c.wakes_at.is_not(None), tasks.c.wakes_at)
_index("tasks_expiring", tasks.c.expires_at.is_not(None), tasks.c.expires_at)
_index("tasks_owned", owned, tasks.c.worker, tasks.c.repo, tasks.c.model)
Index("workers_leased", workers.c.expires_at)
_index("notes_waiting", waiting, notes.c.task)
