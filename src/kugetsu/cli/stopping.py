"""What the signals that end programs do: one is heeded gracefully, the second ends everything at once."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

from kugetsu.app.house import House
from kugetsu.cli.exits import Exit
from kugetsu.engine import STOPPED
from kugetsu.processes import kill_marked
from kugetsu.shadows import TASK_MARKER, Shadow

_ONE_SECONDS: Final = 0.1
"""Signals that follow each other so fast are one: some programs signal a process, and then its whole group."""

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def heeding_signals(first: Callable[[signal.Signals], None], again: Callable[[signal.Signals], None]) -> Iterator[None]:
    """While the block runs, call `first` for the first signal that is to end the program, and `again` for each later one."""
    loop = asyncio.get_running_loop()
    received: list[float] = []

    def on_signal(number: signal.Signals) -> None:
        now = loop.time()
        if received and now - received[0] < _ONE_SECONDS:
            return
        received.append(now)
        (first if len(received) == 1 else again)(number)

    # What was ignored when we were started stays so: that is what `nohup` is for.
    heeded = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    for number in heeded:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield
    finally:
        for number in heeded:
            loop.remove_signal_handler(number)
            if received:
                signal.signal(number, signal.SIG_IGN)  # the program ends already, and cleans up


class Stop:
    """Lets agents end their turn, and interrupts those that take longer than the grace time.

    Args:
        house: whose worker is stopped.
        shadows: those that may not have begun yet.
    """

    def __init__(self, house: House, shadows: Iterable[Shadow] = ()) -> None:
        self._house = house
        self._shadows = list(shadows)
        self._later: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Stop; may be called twice."""
        self._house.worker.stop()
        for shadow in self._shadows:
            shadow.wind_down(STOPPED)
        if self._later is None:
            grace = self._house.settings.queue.grace_seconds
            self._later = asyncio.get_running_loop().call_later(grace, self._interrupt)

    def end(self) -> None:
        """Nothing runs any more."""
        if self._later is not None:
            self._later.cancel()

    def _interrupt(self) -> None:
        self._house.worker.interrupt()
        for shadow in self._shadows:
            shadow.interrupt(STOPPED)


def end_at_once(tasks: Iterable[str], code: Exit) -> NoReturn:
    """Leave without cleaning up, but leave no process behind; the tasks are as after a crash.

    Args:
        tasks: ids of those whose commands are killed.
        code: the exit code.
    """
    for task in tasks:
        kill_marked(TASK_MARKER, task)
    with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
        sys.stderr.write(
            "kugetsu: stopped at once; `kugetsu list` says how the tasks stand, `kugetsu resume ID` goes on\n"
        )
    os._exit(code)
