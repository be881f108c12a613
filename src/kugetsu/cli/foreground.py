"""Shadows in the foreground: run and shown while they run; Ctrl-C cancels them, other signals stop them."""

import asyncio
import contextlib
import signal
from collections.abc import Sequence

from kugetsu.app.house import House
from kugetsu.cli.exits import Exit
from kugetsu.cli.stopping import Stop, end_at_once, heeding_signals
from kugetsu.cli.views import View
from kugetsu.concurrency import first_error
from kugetsu.errors import KugetsuError
from kugetsu.shadows import Shadow
from kugetsu.tasks import Cancel, TaskReport


async def run_in_foreground(house: House, shadows: Sequence[Shadow], view: View) -> list[TaskReport]:
    """Run shadows at the same time and show what they do; their reports in the same order.

    SIGINT cancels their tasks. SIGTERM and SIGHUP stop this program: agents end their turn, what takes longer than the
    grace time is interrupted, and the tasks can go on later. A second signal ends everything at once.

    Raises:
        UsageError: a task could not be started.
        LeaseLostError: somebody else may have a task.
        RecordError: what a task did could not be written down.
    """
    for shadow in shadows:
        shadow.feed.attach(view.take)
    stop = Stop(house, shadows)
    with first_error():
        async with asyncio.TaskGroup() as group:

            def on_first(number: signal.Signals) -> None:
                if number == signal.SIGINT:
                    group.create_task(_cancel(house, shadows, f"cancelled by {number.name}"))
                else:
                    stop.begin()

            try:
                with heeding_signals(on_first, lambda number: _leave(shadows, number)):
                    runs = [group.create_task(house.worker.run(shadow)) for shadow in shadows]
                    await asyncio.wait(runs)
            finally:
                stop.end()
    return [run.result() for run in runs]


async def _cancel(house: House, shadows: Sequence[Shadow], reason: str) -> None:
    """Cancel the tasks, and write down that this is wanted: a task that is killed now must not be taken up again."""
    for shadow in shadows:
        shadow.cancel(reason)
    for shadow in shadows:
        with contextlib.suppress(KugetsuError):  # it may not be in the store yet, or be over
            await house.store.control(shadow.task.id, Cancel(reason))


def _leave(shadows: Sequence[Shadow], number: signal.Signals) -> None:
    end_at_once([shadow.task.id for shadow in shadows], Exit.CANCELLED if number == signal.SIGINT else Exit.WAITING)
