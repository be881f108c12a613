"""What is kept, in a SQLite file: tasks and their queue, leases, sessions, events and effects. All SQL is in here."""

from kugetsu.storage.checking import check
from kugetsu.storage.opening import DATABASE_NAME
from kugetsu.storage.store import SqlStore

__all__ = ["DATABASE_NAME", "SqlStore", "check"]
