"""The process that goes on with one task after whoever started it is gone: `python -m kugetsu.cli.detached ORDER`."""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Final

import msgspec

from kugetsu.app.desk import find, resume
from kugetsu.app.house import House
from kugetsu.app.tuning import tune_process
from kugetsu.cli.detaching import DIRECTORY, Order, Told, settings_of
from kugetsu.cli.exits import Exit
from kugetsu.cli.foreground import run_in_foreground
from kugetsu.cli.views import open_view
from kugetsu.config import Loaded, state_home
from kugetsu.errors import KugetsuError, QueueFullError, StateConflictError, UsageError
from kugetsu.gateway.notifications import Dispatcher
from kugetsu.shadows import Shadow

NEWS_SECONDS: Final = 900.0
"""How long the process stays for news that do not get through, as while Hermes restarts. What is left then goes out with the
next process, or when a `kugetsu serve` runs."""

_UNHEARD_SECONDS: Final = 3.0
"""The same, where nobody is set up who could hear them."""


def main() -> None:
    """Do what the order says, and end."""
    order = msgspec.json.decode(sys.argv[1], type=Order)
    # A terminal that goes away is nothing to us.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    starter = _Starter(order.descriptor)
    try:
        asyncio.run(_go_on(order, settings_of(order), starter))
    except KugetsuError as error:
        starter.tell(Told(error.message, error.fix, _code(error)))
        sys.stderr.write(f"kugetsu: {error}\n")
        sys.exit(_code(error))
    finally:
        _leave_no_empty_log(order)


class _Starter:
    """Whoever started the process, and waits to hear whether it has its task."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._descriptor: int | None = descriptor

    def tell(self, told: Told) -> None:
        """Tell it; it hears the first word only."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        with contextlib.suppress(OSError):  # nobody waits any more
            os.write(descriptor, msgspec.json.encode(told) + b"\n")
        os.close(descriptor)


async def _go_on(order: Order, loaded: Loaded, starter: _Starter) -> None:
    tune_process()
    home = state_home(os.environ)
    async with House(loaded.settings, home, os.environ, name="kugetsu run --detach") as house:
        shadow = await _claimed(house, order)
        starter.tell(Told())
        if shadow is None:
            return
        dispatcher = Dispatcher(house.store, house.settings, house.environ, house.clock, _say)
        house.worker.listeners.append(dispatcher.wake)
        async with dispatcher.running():
            with open_view("none", sys.stderr) as view:
                await run_in_foreground(house, [shadow], view)
            await dispatcher.drain(NEWS_SECONDS if house.settings.notify else _UNHEARD_SECONDS)


async def _claimed(house: House, order: Order) -> Shadow | None:
    """The shadow of the task; None when somebody works on it already."""
    house.capacity.gate.require_room_for_task()
    try:
        return await resume(house, order.task, order.limits)
    except StateConflictError:
        if (await find(house, order.task)).state == "running":
            return None
        raise


def _say(sentence: str) -> None:
    with contextlib.suppress(OSError):
        sys.stderr.write(f"kugetsu: {sentence}\n")


def _code(error: KugetsuError) -> Exit:
    match error:
        case UsageError():
            return Exit.USAGE
        case QueueFullError():
            return Exit.NO_CAPACITY
        case _:
            return Exit.FAILED


def _leave_no_empty_log(order: Order) -> None:
    log: Path = state_home(os.environ) / DIRECTORY / f"{order.task}.log"
    with contextlib.suppress(OSError):
        if not log.stat().st_size:
            log.unlink()


if __name__ == "__main__":
    main()
