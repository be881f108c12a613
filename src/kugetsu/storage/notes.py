"""What users said and no run has taken yet."""

from collections.abc import Collection

from sqlalchemy import Connection, select

from kugetsu.protocols import Attention
from kugetsu.storage.schema import notes, owned, tasks, waiting
from kugetsu.tasks import Note


def waiting_notes(connection: Connection, numbers: Collection[int]) -> dict[int, list[Note]]:
    """The notes of tasks that no run has taken yet, oldest first."""
    rows = connection.execute(
        select(notes.c.task, notes.c.id, notes.c.kind, notes.c.text)
        .where(notes.c.task.in_(list(numbers)), waiting)
        .order_by(notes.c.id)
    )
    found: dict[int, list[Note]] = {}
    for number, *note in rows:
        found.setdefault(number, []).append(Note(*note))
    return found


def attention_for(connection: Connection, worker: str) -> list[Attention]:
    """The worker's running tasks of which somebody wants something."""
    mine = (owned, tasks.c.worker == worker)
    noted = select(notes.c.id).where(notes.c.task == tasks.c.number, waiting).exists()
    rows = connection.execute(
        select(tasks.c.number, tasks.c.id, tasks.c.generation, tasks.c.wanted, tasks.c.reason)
        .where(*mine, (tasks.c.wanted != "") | noted)
        .order_by(tasks.c.number)
    ).all()
    said = waiting_notes(connection, [row.number for row in rows]) if rows else {}
    return [Attention(row.id, row.generation, row.wanted, row.reason, tuple(said.get(row.number, ()))) for row in rows]
