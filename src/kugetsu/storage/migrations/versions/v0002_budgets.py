"""Tasks that wait for a time start by themselves; what was used up, and what is set aside.

Revision ID: 0002
Revises: 0001
"""

from typing import Any, Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0002"
down_revision: Final = "0001"

_ID: Final = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")
_NUMBER: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_PENDING: Final = "(state = 'pending' AND blockers = 0"
_QUEUED: Final = "((state = 'pending' OR (state = 'waiting' AND question = '')) AND blockers = 0)"

# What these tables were made of. SQLite makes them anew with what is named here, and nothing else: some databases have a
# column `last_worker` of a time before the first release, and workers without a lease.
_old: Final = sa.MetaData()
_tasks: Final = sa.Table(
    "tasks",
    _old,
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
    sa.CheckConstraint("(state = 'running') = (worker <> '')", name="tasks_owned"),
    sa.CheckConstraint(f"NOT ready OR {_PENDING})", name="tasks_ready"),
    sa.CheckConstraint(f"wakes_at IS NULL OR {_PENDING} AND NOT ready)", name="tasks_wakes"),
    sa.CheckConstraint("expires_at IS NULL OR (state = 'pending' AND runs = 0)", name="tasks_expires"),
    sa.CheckConstraint(
        "state IN ('pending', 'running', 'waiting', 'paused', 'completed', 'failed', 'cancelled')", name="tasks_state"
    ),
    sa.CheckConstraint("wanted IN ('', 'cancel', 'pause')", name="tasks_wanted"),
    sa.CheckConstraint(
        "generation >= 0 AND runs >= 0 AND runs <= generation AND blockers >= 0 AND attempts >= 0 AND crashes >= 0",
        name="tasks_counts",
    ),
    sa.CheckConstraint("length(id) BETWEEN 1 AND 64", name="tasks_id"),
    sa.CheckConstraint("priority BETWEEN -100 AND 100", name="tasks_priority"),
    sa.PrimaryKeyConstraint("number", name="tasks_pkey"),
    sa.UniqueConstraint("id", name="tasks_id_key"),
    sa.UniqueConstraint("key", name="tasks_key_key"),
    sqlite_autoincrement=True,
)
_workers: Final = sa.Table(
    "workers",
    _old,
    sa.Column("id", sa.String(), nullable=False),
    sa.Column("host", sa.String(), nullable=False),
    sa.Column("pid", sa.Integer(), nullable=False),
    sa.Column("name", sa.String(), nullable=False),
    sa.Column("started_at", sa.Double(), nullable=False),
    sa.Column("expires_at", sa.Double(), nullable=True),
    sa.CheckConstraint("id <> ''", name="workers_id"),
    sa.PrimaryKeyConstraint("id", name="workers_pkey"),
)


def _index(name: str, columns: tuple[str, ...], where: sa.ColumnElement[Any] | sa.TextClause | None = None) -> None:
    sa.Index(name, *(_tasks.c[column] for column in columns), sqlite_where=where, postgresql_where=where)


_index("tasks_state", ("state", "number"))
_index("tasks_next", ("rank", "number", "repo", "model", "wanted"), _tasks.c.ready == sa.true())
_index("tasks_waking", ("wakes_at",), sa.text("wakes_at IS NOT NULL"))
_index("tasks_expiring", ("expires_at",), sa.text("expires_at IS NOT NULL"))
_index("tasks_owned", ("worker", "repo", "model"), sa.text("worker != ''"))


def upgrade() -> None:
    """Let tasks wait for a time, and keep a ledger."""
    _require_leases()
    _let_waiting_tasks_start()
    _ledger()


def _require_leases() -> None:
    op.execute("DELETE FROM workers WHERE expires_at IS NULL")
    op.drop_index(op.f("workers_leased"), "workers")
    with op.batch_alter_table("workers", copy_from=_workers) as batch:
        batch.alter_column("expires_at", existing_type=sa.Double(), nullable=False)
    op.create_index(op.f("workers_leased"), "workers", ["expires_at"])


def _let_waiting_tasks_start() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    last = op.get_bind().scalar(sa.text("SELECT seq FROM sqlite_sequence WHERE name = 'tasks'")) if sqlite else None
    with op.batch_alter_table("tasks", copy_from=_tasks, table_kwargs={"sqlite_autoincrement": True}) as batch:
        for name, condition in (
            ("ready", f"NOT ready OR {_QUEUED}"),
            ("wakes", f"wakes_at IS NULL OR ({_QUEUED} AND NOT ready)"),
        ):
            batch.drop_constraint(op.f(f"tasks_{name}"), type_="check")
            batch.create_check_constraint(op.f(f"tasks_{name}"), sa.text(condition))
    if last is not None:
        # No number is ever given twice, though the last tasks may be gone.
        op.execute("DELETE FROM sqlite_sequence WHERE name = 'tasks'")
        op.execute(sa.text("INSERT INTO sqlite_sequence VALUES ('tasks', :last)").bindparams(last=last))
    waits = "state = 'waiting' AND question = '' AND blockers = 0"
    op.execute(sa.text(f"UPDATE tasks SET ready = true WHERE {waits} AND available_at <= 0"))  # noqa: S608 - see above
    op.execute(sa.text(f"UPDATE tasks SET wakes_at = available_at WHERE {waits} AND NOT ready"))  # noqa: S608 - see above


def _amounts(table: str) -> tuple[sa.schema.SchemaItem, ...]:
    return (
        sa.Column("usd", sa.Double(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("turns", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.CheckConstraint("usd >= 0 AND tokens >= 0 AND turns >= 0 AND seconds >= 0", name=op.f(f"{table}_amounts")),
    )


def _ledger() -> None:
    op.create_table(
        "spending",
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("repo", sa.String(), nullable=False),
        *_amounts("spending"),
        sa.PrimaryKeyConstraint("day", "repo", name=op.f("spending_pkey")),
    )
    op.create_table(
        "reservations",
        sa.Column("task", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("repo", sa.String(), nullable=False),
        *_amounts("reservations"),
        sa.ForeignKeyConstraint(["task"], ["tasks.number"], name=op.f("reservations_task_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("task", name=op.f("reservations_pkey")),
    )
