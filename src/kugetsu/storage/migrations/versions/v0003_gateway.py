"""News that go out, tokens, what tasks are about, and one order of all events.

Revision ID: 0003
Revises: 0002
"""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0003"
down_revision: Final = "0002"

_NUMBER: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_SUBJECT: Final = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Make what a gateway needs."""
    _subjects()
    _number_events()
    _changes()
    _deliveries()
    _tokens()


def _task() -> sa.Column[int]:
    return sa.Column("task", _NUMBER, nullable=False)


def _of_task(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["task"], ["tasks.number"], name=op.f(f"{table}_task_fkey"), ondelete="CASCADE")


def _index(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    some = sa.text(where)
    op.create_index(op.f(name), table, columns, unique=unique, sqlite_where=some, postgresql_where=some)


def _subjects() -> None:
    op.add_column("tasks", sa.Column("subject", _SUBJECT, nullable=False, server_default=""))
    _index("tasks_subject", "tasks", ["subject", "number"], "subject != ''")


def _number_events() -> None:
    """Give events numbers, in the order in which they were written down."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    if not sqlite:  # where names are those of the whole schema
        for name in ("events_pkey", "events_seq", "events_task_fkey"):
            op.drop_constraint(op.f(name), "events")
    op.rename_table("events", "events_old")
    op.create_table(
        "events",
        sa.Column("number", _NUMBER, nullable=False),
        _task(),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("seq > 0", name=op.f("events_seq")),
        _of_task("events"),
        sa.PrimaryKeyConstraint("number", name=op.f("events_pkey")),
        sa.UniqueConstraint("task", "seq", name=op.f("events_task_seq_key")),
    )
    order = "rowid" if sqlite else "task, seq"
    op.execute(f"INSERT INTO events (task, seq, data) SELECT task, seq, data FROM events_old ORDER BY {order}")  # noqa: S608 - see above
    op.drop_table("events_old")


def _changes() -> None:
    op.create_table(
        "changes",
        sa.Column("id", _NUMBER, nullable=False),
        _task(),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        _of_task("changes"),
        sa.PrimaryKeyConstraint("id", name=op.f("changes_pkey")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("changes_task"), "changes", ["task"])


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", _NUMBER, nullable=False),
        _task(),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("payload", sa.String(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.Column("error", sa.String(), nullable=False),
        sa.CheckConstraint("state IN ('pending', 'delivered', 'expired', 'refused')", name=op.f("deliveries_state")),
        sa.CheckConstraint("(state = 'pending') = (ended_at IS NULL)", name=op.f("deliveries_ended")),
        sa.CheckConstraint("attempts >= 0", name=op.f("deliveries_attempts")),
        _of_task("deliveries"),
        sa.PrimaryKeyConstraint("id", name=op.f("deliveries_pkey")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("deliveries_task"), "deliveries", ["task", "target", "state", "id"])
    _index("deliveries_due", "deliveries", ["due_at", "id"], "state = 'pending'")
    _index("deliveries_ended", "deliveries", ["ended_at"], "ended_at IS NOT NULL")


def _tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("scopes", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("revoked_at", sa.Double(), nullable=False),
        sa.CheckConstraint("id <> '' AND name <> '' AND digest <> ''", name=op.f("tokens_names")),
        sa.PrimaryKeyConstraint("number", name=op.f("tokens_pkey")),
        sa.UniqueConstraint("id", name=op.f("tokens_id_key")),
    )
    _index("tokens_name", "tokens", ["name"], "revoked_at = 0", unique=True)
