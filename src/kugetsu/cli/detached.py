"""The process that goes on with one task after whoever started it is gone: `python -m kugetsu.cli.detached ORDER`."""

import asyncio
import contextlib
import fcntl
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from kugetsu.app.desk import find, require_room, resume
from kugetsu.app.house import House
from kugetsu.app.tuning import tune_process
from kugetsu.cli.detaching import DIRECTORY, Order, Told, settings_of
from kugetsu.cli.exits import Exit
from kugetsu.cli.foreground import run_in_foreground
from kugetsu.cli.telling import telling
from kugetsu.cli.views import open_view
from kugetsu.config import Loaded, state_home
from kugetsu.errors import KugetsuError, QueueFullError, StateConflictError, UsageError
from kugetsu.shadows import Shadow

if TYPE_CHECKING:
    from kugetsu.gateway.notifications import Dispatcher

NEWS_SECONDS: Final = 900.0
"""How long the process stays for news that do not get through, as while Hermes restarts. What is left then goes out with the
next process, or when a `kugetsu serve` runs."""

_BRIEF_SECONDS: Final = 3.0
"""The same, where nobody is set up who could hear them, or a signal ended the run."""


def main() -> None:
    """Do what the order says, and end."""
    order = msgspec.json.decode(sys.argv[1], type=Order)
    # A terminal that goes away is nothing to us.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    starter = _Starter(order.descriptor)
    try:
        asyncio.run(_go_on(order, settings_of(order), starter))
    except KugetsuError as error:
        if not starter.tell(Told(error.message, error.fix, _code(error))):
            _say(str(error))
        sys.exit(_code(error))
    finally:
        _leave_no_empty_log(order)


class _Starter:
    """Whoever started the process, and waits to hear whether it has its task."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._descriptor: int | None = descriptor

    def tell(self, told: Told) -> bool:
        """Tell it; it hears the first word only. Whether it may have heard this one."""
        if self._descriptor is None:
            return False
        descriptor, self._descriptor = self._descriptor, None
        try:
            os.write(descriptor, msgspec.json.encode(told) + b"\n")
        except OSError:  # nobody waits any more
            return False
        finally:
            os.close(descriptor)
        return True


async def _go_on(order: Order, loaded: Loaded, starter: _Starter) -> None:
    tune_process()
    home = state_home(os.environ)
    async with House(loaded.settings, home, os.environ, name="kugetsu run --detach") as house:
        shadow = await _claimed(house, order)
        starter.tell(Told())
        if shadow is None:
            return
        async with telling(house, order.task, _say) as dispatcher:
            with open_view("none", sys.stderr) as view:
                (report,) = await run_in_foreground(house, [shadow], view)
            if dispatcher:
                stopped = report.state == "pending"  # by a signal, for the next program to go on with
                patient = house.settings.notify and not stopped
                await _stay(dispatcher, order.task, NEWS_SECONDS if patient else _BRIEF_SECONDS)


async def _stay(dispatcher: "Dispatcher", task: str, seconds: float) -> None:
    """Stay for news that do not get through; a signal ends that, also where one has ended the run before."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds) as patience:

            def leave() -> None:
                if not patience.expired():
                    patience.reschedule(loop.time())

            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, leave)
            await dispatcher.drain(seconds, [task])


async def _claimed(house: House, order: Order) -> Shadow | None:
    """The shadow of the task; None when somebody works on it already, or did since it was submitted."""
    if order.submitted and (await find(house, order.task)).state != "pending":
        return None
    await require_room(house)
    try:
        return await resume(house, order.task, order.limits)
    except StateConflictError:
        state = (await find(house, order.task)).state
        if (state == "running" and not order.limits) or (state != "pending" and order.submitted):
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
        # Another process may have it too, and something to say later.
        fcntl.flock(sys.stderr.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not log.stat().st_size:
            log.unlink()


if __name__ == "__main__":
    main()
