"""What the tables are made of."""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    Double,
    ForeignKey,
    Index,
    Integer,
    String,
)
from sqlalchemy.schema import SchemaItem

# Compared byte by byte on every engine, so that a prefix is a range.
ID: Final = String(64).with_variant(String(64, collation="C"), "postgresql")
TEXT: Final = String().with_variant(String(collation="C"), "postgresql")
NUMBER: Final = BigInteger().with_variant(Integer(), "sqlite")


def one_of(column: str, values: tuple[str, ...]) -> str:
    """The condition that a column holds one of these words."""
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


def amounts() -> tuple[SchemaItem, ...]:
    """What `Spent` says."""
    return (
        Column("usd", Double, nullable=False),
        Column("tokens", BigInteger, nullable=False),
        Column("turns", BigInteger, nullable=False),
        Column("seconds", Double, nullable=False),
        CheckConstraint("usd >= 0 AND tokens >= 0 AND turns >= 0 AND seconds >= 0", name="amounts"),
    )


def task_number() -> Column[int]:
    """The task that a row belongs to, and goes with."""
    return Column("task", NUMBER, ForeignKey("tasks.number", ondelete="CASCADE"), nullable=False)


def index_of_some(name: str, where: ColumnElement[bool], *columns: Column[Any], unique: bool = False) -> None:
    """An index of a few rows among many; a query uses it when it says `where` in the same words.

    To PostgreSQL, whose dialect takes long to import, the migrations alone say `where`.
    """
    Index(name, *columns, unique=unique, sqlite_where=where)
