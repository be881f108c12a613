"""The first tables.

Revision ID: 0001
Revises:
"""

from typing import Any, Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0001"
down_revision: Final = None

_ID: Final = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")
_NUMBER: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_ready: Final = sa.column("ready", sa.Boolean())
_taken: Final = sa.column("taken", sa.Boolean())


def upgrade() -> None:
    """Make everything."""
    _tasks()
    _workers()
    _dependencies()
    _effects()
    _entries()
    _events()
    _notes()
    _runs()


def _task() -> sa.Column[int]:
    return sa.Column("task", _NUMBER, nullable=False)


def _index(
    name: str, table: str, columns: list[str], where: sa.ColumnElement[Any] | sa.TextClause | None = None
) -> None:
    op.create_index(op.f(name), table, columns, sqlite_where=where, postgresql_where=where)


def _tasks() -> None:
    op.create_table(
        "tasks",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("id", _ID, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("ready", sa.Boolean(), nullable=False),
        sa.Column("wakes_at", sa.Double(), nullable=True),
        sa.Column("expires_at", sa.Double(), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(), nullable=False),
        sa.Column("rank", sa.Double(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("queued_at", sa.Double(), nullable=False),
        sa.Column("available_at", sa.Double(), nullable=False),
        sa.Column("blockers", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("crashes", sa.Double(), nullable=False),
        sa.Column("runs", sa.Integer(), nullable=False),
        sa.Column("wanted", sa.String(length=16), nullable=False),
        sa.Column("repo", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("question", sa.String(), nullable=False),
        sa.Column("outcome", sa.LargeBinary(), nullable=True),
        sa.Column("place", sa.LargeBinary(), nullable=True),
        sa.Column("task", sa.LargeBinary(), nullable=False),
        sa.Column("report", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("(state = 'running') = (worker <> '')", name=op.f("tasks_owned")),
        sa.CheckConstraint("NOT ready OR (state = 'pending' AND blockers = 0)", name=op.f("tasks_ready")),
        sa.CheckConstraint(
            "wakes_at IS NULL OR (state = 'pending' AND blockers = 0 AND NOT ready)", name=op.f("tasks_wakes")
        ),
        sa.CheckConstraint("expires_at IS NULL OR (state = 'pending' AND runs = 0)", name=op.f("tasks_expires")),
        sa.CheckConstraint(
            "state IN ('pending', 'running', 'waiting', 'paused', 'completed', 'failed', 'cancelled')",
            name=op.f("tasks_state"),
        ),
        sa.CheckConstraint("wanted IN ('', 'cancel', 'pause')", name=op.f("tasks_wanted")),
        sa.CheckConstraint(
            "generation >= 0 AND runs >= 0 AND runs <= generation AND blockers >= 0 AND attempts >= 0 AND crashes >= 0",
            name=op.f("tasks_counts"),
        ),
        sa.CheckConstraint("length(id) BETWEEN 1 AND 64", name=op.f("tasks_id")),
        sa.CheckConstraint("priority BETWEEN -100 AND 100", name=op.f("tasks_priority")),
        sa.PrimaryKeyConstraint("number", name=op.f("tasks_pkey")),
        sa.UniqueConstraint("id", name=op.f("tasks_id_key")),
        sa.UniqueConstraint("key", name=op.f("tasks_key_key")),
        sqlite_autoincrement=True,
    )
    _index("tasks_state", "tasks", ["state", "number"])
    _index("tasks_next", "tasks", ["rank", "number", "repo", "model", "wanted"], _ready == sa.true())
    _index("tasks_waking", "tasks", ["wakes_at"], sa.text("wakes_at IS NOT NULL"))
    _index("tasks_expiring", "tasks", ["expires_at"], sa.text("expires_at IS NOT NULL"))
    _index("tasks_owned", "tasks", ["worker", "repo", "model"], sa.text("worker != ''"))


def _workers() -> None:
    op.create_table(
        "workers",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.CheckConstraint("id <> ''", name=op.f("workers_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("workers_pkey")),
    )
    op.create_index(op.f("workers_leased"), "workers", ["expires_at"])


def _dependencies() -> None:
    op.create_table(
        "dependencies",
        _task(),
        sa.Column("after", _NUMBER, nullable=False),
        sa.Column("met", sa.Boolean(), nullable=False),
        sa.CheckConstraint("task <> after", name=op.f("dependencies_other")),
        sa.ForeignKeyConstraint(["after"], ["tasks.number"], name=op.f("dependencies_after_fkey"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["task"], ["tasks.number"], name=op.f("dependencies_task_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("task", "after", name=op.f("dependencies_pkey")),
    )
    _index("dependencies_after", "dependencies", ["after"])


def _effects() -> None:
    op.create_table(
        "effects",
        _task(),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("call", sa.String(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("payload", sa.String(), nullable=False),
        sa.CheckConstraint("state IN ('begun', 'done')", name=op.f("effects_state")),
        sa.ForeignKeyConstraint(["task"], ["tasks.number"], name=op.f("effects_task_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("task", "turn", "call", name=op.f("effects_pkey")),
    )


def _entries() -> None:
    op.create_table(
        "entries",
        _task(),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("seq > 0", name=op.f("entries_seq")),
        sa.ForeignKeyConstraint(["task"], ["tasks.number"], name=op.f("entries_task_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("task", "seq", name=op.f("entries_pkey")),
    )


def _events() -> None:
    op.create_table(
        "events",
        _task(),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("seq > 0", name=op.f("events_seq")),
        sa.ForeignKeyConstraint(["task"], ["tasks.number"], name=op.f("events_task_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("task", "seq", name=op.f("events_pkey")),
    )


def _notes() -> None:
    op.create_table(
        "notes",
        sa.Column("id", _NUMBER, nullable=False),
        _task(),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=True),
        sa.Column("taken", sa.Boolean(), nullable=False),
        sa.CheckConstraint("kind IN ('steering', 'follow_up', 'answer', 'retry')", name=op.f("notes_kind")),
        sa.ForeignKeyConstraint(["task"], ["tasks.number"], name=op.f("notes_task_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("notes_pkey")),
        sa.UniqueConstraint("task", "key", name=op.f("notes_task_key_key")),
        sqlite_autoincrement=True,
    )
    _index("notes_waiting", "notes", ["task"], _taken != sa.true())


def _runs() -> None:
    op.create_table(
        "runs",
        _task(),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.Column("outcome", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("(ended_at IS NULL) = (outcome IS NULL)", name=op.f("runs_ended")),
        sa.CheckConstraint("generation > 0", name=op.f("runs_generation")),
        sa.ForeignKeyConstraint(["task"], ["tasks.number"], name=op.f("runs_task_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("task", "generation", name=op.f("runs_pkey")),
    )
    _index("runs_started_at", "runs", ["started_at"])
