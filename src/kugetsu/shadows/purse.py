"""What a run may take of the budgets of the day: set aside before each model call, so that no two runs take the same."""

from typing import Final

from kugetsu.errors import LimitKind, LimitReachedError
from kugetsu.protocols import Reserved
from kugetsu.shadows.run_log import RunLog
from kugetsu.tasks import Budget, Budgets, Spent

_KINDS: Final[dict[str, LimitKind]] = {"usd": "money_limit", "tokens": "token_limit", "turns": "turn_limit"}


class Purse:
    """Sets aside money and tokens for the calls of one run.

    Args:
        log: of the run.
        budgets: what its task falls under.
    """

    def __init__(self, log: RunLog, budgets: Budgets) -> None:
        self._log = log
        self._budgets = budgets

    async def reserve(self, least: Spent, most: Spent) -> Reserved | None:
        """Set aside what the next model call may use up; see `protocols.Reserve`.

        Raises:
            LimitReachedError: there will not be enough before another day, or there never is.
            LeaseLostError, RecordError: as for every write of a run.
        """
        if not self._budgets.limited:
            return None
        _require_possible(least, self._budgets.day, "all tasks together")
        _require_possible(least, self._budgets.repository, "its repository")
        reserved = await self._log.reserve(least, most, self._budgets)
        if reserved.hit:
            raise LimitReachedError(
                "budget",
                reserved.hit,
                fix="let it wait for the next day (UTC), or raise `budgets`, start `kugetsu serve` anew and `kugetsu resume` it",
                until=reserved.until,
            )
        return reserved


def _require_possible(least: Spent, budget: Budget, of: str) -> None:
    """Look whether a call fits into a whole day's budget.

    Raises:
        LimitReachedError: it does not, so waiting for another day is of no use.
    """
    for field, kind in _KINDS.items():
        limit, needed = getattr(budget, field), getattr(least, field)
        if limit and needed > limit:
            raise LimitReachedError(
                kind,
                f"the next model call may use up {needed:,.6g} ({field}), and the budget of a whole day for {of} is {limit:,.6g}",
                fix="raise `budgets` in kugetsu.toml and `kugetsu resume` it",
            )
