"""The ledger: what was used up, by day and repository, and what runs have set aside of the budgets of today."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, bindparam, delete, func, select
from sqlalchemy.dialects.sqlite import insert

from kugetsu.messages import well_formed
from kugetsu.protocols import Lease, Reserved, Spending
from kugetsu.storage.rows import lost
from kugetsu.storage.schema import reservations, spending, tasks
from kugetsu.tasks import Account, Budgets, Spent, day_of, next_day, shared

_FIELDS: Final = Spent.__struct_fields__

_insert: Final = insert(spending)
_book: Final = _insert.on_conflict_do_update(
    index_elements=["day", "repo"],
    set_={field: spending.c[field] + _insert.excluded[field] for field in _FIELDS},
)
_insert_reservation: Final = insert(reservations)
_set_aside: Final = _insert_reservation.on_conflict_do_update(
    index_elements=["task"], set_={field: _insert_reservation.excluded[field] for field in _FIELDS}
)
_free: Final = delete(reservations).where(reservations.c.task == bindparam("of_task"))
_holder: Final = select(tasks.c.number, tasks.c.repo).where(
    tasks.c.id == bindparam("id"), tasks.c.state == "running", tasks.c.generation == bindparam("generation")
)


def _sums(table: Table) -> list[ColumnElement[Any]]:
    """What there is in all, and of one repository alone."""
    columns = [func.sum(table.c[field]) for field in _FIELDS]
    return [*columns, *(column.filter(table.c.repo == bindparam("of_repo")) for column in columns)]


_used: Final = select(*_sums(spending)).where(spending.c.day == bindparam("today"))
_others: Final = select(*_sums(reservations)).where(reservations.c.task != bindparam("this_task"))


def book(connection: Connection, uses: Iterable[tuple[float, str, Spent]]) -> None:
    """Add to what was used up.

    Args:
        connection: in a transaction.
        uses: when, for which repository, and what.
    """
    sums: dict[tuple[str, str], Spent] = {}
    for at, repo, spent in uses:
        where = day_of(at), repo
        sums[where] = sums.get(where, Spent()) + spent.sound
    if sums:
        connection.execute(_book, [{"day": day, "repo": repo, **_row(spent)} for (day, repo), spent in sums.items()])


def free(connection: Connection, numbers: Collection[int]) -> None:
    """Give back what the runs of tasks have set aside."""
    if numbers:
        connection.execute(_free, [{"of_task": number} for number in numbers])


def reserve(connection: Connection, lease: Lease, least: Spent, most: Spent, budgets: Budgets, now: float) -> Reserved:
    """Set aside what a run may use up, in place of what it had set aside before.

    Raises:
        LeaseLostError: it has its task no longer.
    """
    holder = connection.execute(_holder, {"id": well_formed(lease.task), "generation": lease.generation}).first()
    if holder is None:
        raise lost(lease)
    least, most = least.sound, most.sound
    used, used_here = _both(connection.execute(_used, {"today": day_of(now), "of_repo": holder.repo}).one())
    aside, aside_here = _both(connection.execute(_others, {"this_task": holder.number, "of_repo": holder.repo}).one())
    accounts = (
        Account("all tasks together", budgets.day, used, aside),
        Account(holder.repo, budgets.repository, used_here, aside_here),
    )
    granted, hit = shared(least, most, accounts)
    if granted is None:
        free(connection, [holder.number])
        return Reserved(hit=hit, until=next_day(now) if hit else 0.0)
    connection.execute(_set_aside, {"task": holder.number, "repo": holder.repo, **_row(granted)})
    return Reserved(granted)


def spending_on(connection: Connection, day: str) -> list[Spending]:
    """What was used up on a day, repository by repository."""
    rows = connection.execute(select(spending).where(spending.c.day == day).order_by(spending.c.repo))
    return [Spending(row.day, row.repo, Spent(row.usd, row.tokens, row.turns, row.seconds)) for row in rows]


def _both(sums: Sequence[Any]) -> tuple[Spent, Spent]:
    """What there is in all, and of one repository; where there is no row a sum is None."""
    values = [value or 0 for value in sums]
    return Spent(*values[: len(_FIELDS)]), Spent(*values[len(_FIELDS) :])


def _row(spent: Spent) -> dict[str, Any]:
    return {field: getattr(spent, field) for field in _FIELDS}
