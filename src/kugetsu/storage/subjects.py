"""Tasks by what they are about."""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from kugetsu.errors import TaskNotFoundError
from kugetsu.storage.rows import LIST_FIX, record_of
from kugetsu.storage.schema import about, tasks
from kugetsu.tasks import Subject, TaskRecord, parse_subject


def subject_column(subject: str) -> str:
    """A task's subject as it is looked up: what a name without a host says comes first. Empty for what is no name."""
    named = parse_subject(subject)
    return "" if named is None else _column(named)


def find_about(connection: Connection, subject: Subject) -> TaskRecord:
    """The newest task about something.

    Raises:
        TaskNotFoundError: there is none; or the host was not said, and there are several.
        RecordError: it is damaged.
    """
    names = [_column(subject)] if subject.host else _with_hosts(connection, subject)
    if len(names) > 1:
        raise _several(subject, [name.partition(" ")[2] for name in names])
    these = select(tasks).where(about, tasks.c.subject.in_(names)).order_by(tasks.c.number.desc()).limit(1)
    row = connection.execute(these).first()
    if row is None:
        raise TaskNotFoundError(f"no task is about {subject}", fix=LIST_FIX)
    return record_of(row)


def _column(subject: Subject) -> str:
    return f"{subject.path}#{subject.number} {subject.host}"


def _with_hosts(connection: Connection, subject: Subject) -> Sequence[str]:
    """What a name without its host is called in the column, on each host that there is."""
    first = _column(subject)
    query = select(tasks.c.subject).where(about, tasks.c.subject >= first, tasks.c.subject < f"{first[:-1]}!")
    return connection.scalars(query.distinct()).all()  # `!` follows the space


def _several(subject: Subject, hosts: Sequence[str]) -> TaskNotFoundError:
    named = sorted(f"{host}/{subject}" if host else str(subject) for host in hosts)
    return TaskNotFoundError(f"{subject} may be {' or '.join(named)}", fix="name its host as well")
