"""What a daemon does beside its tasks: it keeps the disk within its budget."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from kugetsu.app.house import House
from kugetsu.app.pruning import Pruner
from kugetsu.concurrency import first_error
from kugetsu.errors import KugetsuError

EVERY_SECONDS: Final = 3_600.0
"""How often it is looked whether something may go."""

_FIRST_SECONDS: Final = 60.0
"""The first look comes when the tasks of the start are under way."""


class Maintenance:
    """Prunes by the rule of `kugetsu prune`, now and then.

    Args:
        house: whose state directory.
        say: told in words what was done: event, sentence, then fields.
        trouble: told what went wrong.
    """

    def __init__(self, house: House, say: Callable[..., None], trouble: Callable[[str], None]) -> None:
        self._house = house
        self._pruner: Pruner | None = None
        self._say = say
        self._trouble = trouble

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Do it while the block runs."""
        with first_error():
            async with asyncio.TaskGroup() as group:
                keeping = group.create_task(self._keep())
                try:
                    yield
                finally:
                    keeping.cancel()

    async def _keep(self) -> None:
        clock = self._house.clock
        await clock.sleep(_FIRST_SECONDS)
        while True:
            await self.prune()
            await clock.sleep(EVERY_SECONDS)

    async def prune(self) -> None:
        """Take away what may go. Never raises for what it finds."""
        house = self._house
        if self._pruner is None:  # it remembers the sizes of what does not change
            self._pruner = Pruner(house.home, house.environ, house.store, house.settings.disk, house.clock)
        try:
            done = await self._pruner.maintain()
        except KugetsuError as error:
            self._trouble(f"the disk could not be cleared: {error}")
            return
        gone = [each for each in done if each.gone]
        freed = sum(each.item.holding.bytes or 0 for each in gone)
        if gone:
            self._say("pruned", f"{len(gone)} things were pruned, {freed / 1e6:,.1f} MB", count=len(gone), bytes=freed)
        for each in done:
            if not each.gone:
                self._trouble(f"{each.item.holding.name} could not be pruned: {each.why}")
