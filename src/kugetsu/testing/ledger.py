"""What was used up, and what is set aside, for a store in memory."""

from collections.abc import Callable

from kugetsu.protocols import Lease, Reserved, Spending
from kugetsu.tasks import Account, Budgets, Spent, day_of, next_day, shared


class Ledger:
    """The books.

    Args:
        holds: whether a lease still holds; with it ends what it has set aside.
    """

    def __init__(self, holds: Callable[[Lease], bool]) -> None:
        self._holds = holds
        self._used: dict[tuple[str, str], Spent] = {}
        self._aside: dict[Lease, tuple[str, Spent]] = {}

    def book(self, lease: Lease, repo: str, spent: Spent | None, now: float) -> None:
        """A run used something up; what it had set aside is free."""
        if spent is not None:
            where = day_of(now), repo
            self._used[where] = self._used.get(where, Spent()) + spent.sound
            self._aside.pop(lease, None)

    def reserve(self, lease: Lease, repo: str, least: Spent, most: Spent, budgets: Budgets, now: float) -> Reserved:
        """Set aside what a run may use up; see `protocols.Runs`."""
        self._aside.pop(lease, None)
        used = [(of, spent) for (day, of), spent in self._used.items() if day == day_of(now)]
        aside = [of_lease for other, of_lease in self._aside.items() if self._holds(other)]
        accounts = [
            Account("all tasks together", budgets.day, _sum(used), _sum(aside)),
            Account(repo, budgets.repository, _sum(used, repo), _sum(aside, repo)),
        ]
        granted, hit = shared(least.sound, most.sound, accounts)
        if granted is None:
            return Reserved(hit=hit, until=next_day(now) if hit else 0.0)
        self._aside[lease] = repo, granted
        return Reserved(granted)

    def spending(self, day: str) -> list[Spending]:
        """What was used up on a day; see `protocols.Desk`."""
        return sorted(
            (Spending(day, repo, spent) for (when, repo), spent in self._used.items() if when == day),
            key=lambda spending: spending.repo,
        )


def _sum(parts: list[tuple[str, Spent]], repo: str | None = None) -> Spent:
    """All of it, or what is of one repository."""
    return sum((spent for of, spent in parts if repo in {None, of}), Spent())
