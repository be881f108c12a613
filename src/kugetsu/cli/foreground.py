"""Shadows in the foreground: run, shown while they run, and cancelled by Ctrl-C."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from kugetsu.cli.exits import Exit
from kugetsu.cli.views import View
from kugetsu.concurrency import first_error
from kugetsu.processes import kill_marked
from kugetsu.shadows import TASK_MARKER, Shadow
from kugetsu.tasks import TaskReport

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def run_in_foreground(shadows: Sequence[Shadow], view: View) -> list[TaskReport]:
    """Run shadows at the same time and show what they do; their reports in the same order.

    The first SIGINT, SIGTERM or SIGHUP cancels them, the second ends everything at once.

    Raises:
        UsageError: a task could not be started.
    """
    for shadow in shadows:
        shadow.feed.attach(view.take)
    with _cancelled_by_signals(shadows), first_error():
        async with asyncio.TaskGroup() as group:
            runs = [group.create_task(shadow.run()) for shadow in shadows]
    return [run.result() for run in runs]


@contextmanager
def _cancelled_by_signals(shadows: Sequence[Shadow]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    received: list[signal.Signals] = []

    def on_signal(number: signal.Signals) -> None:
        if received:
            _end_at_once(shadows)
        received.append(number)
        for shadow in shadows:
            shadow.cancel(f"cancelled by {number.name}")

    for number in _SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


def _end_at_once(shadows: Sequence[Shadow]) -> None:
    """Leave without cleaning up, but leave no process behind."""
    for shadow in shadows:
        kill_marked(TASK_MARKER, shadow.task.id)
        shadow.abandon()
    sys.stderr.write("kugetsu: stopped at once; `kugetsu show ID` says where unfinished work is\n")
    os._exit(Exit.CANCELLED)
