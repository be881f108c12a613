"""News of tasks that run without a server."""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from kugetsu.app import desk
from kugetsu.app.house import House

if TYPE_CHECKING:
    from kugetsu.gateway.notifications import Dispatcher


@contextlib.asynccontextmanager
async def telling(house: House, task: str, say: Callable[[str], None]) -> "AsyncIterator[Dispatcher | None]":
    """Bring news to those who are to hear of them while the block runs: of this task, and what earlier programs left.

    What other tasks did is left to a server, if one works; and everything, where nobody is set up here. Without a server
    nothing is kept for whoever may be set up one day.

    Args:
        house: open.
        task: id of the one that this program works on.
        say: told in one sentence what goes wrong.

    Returns:
        Who brings them; None when the server does.

    Raises:
        RecordError: the store cannot be read.
    """
    served = await desk.is_served(house)
    if served and not house.settings.notify:
        yield None
        return
    from kugetsu.gateway.notifications import Dispatcher  # noqa: PLC0415 - `--help` needs none

    dispatcher = Dispatcher(house.store, house.settings, house.environ, house.clock, say)
    house.worker.listeners.append(dispatcher.wake)
    async with dispatcher.running([task] if served else ()):
        yield dispatcher
