"""One task in the foreground: shown while it runs, printed when it is over or halts."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from kugetsu.app.house import House
from kugetsu.app.service import LocalTasks
from kugetsu.app.tuning import tune_process
from kugetsu.cli.exits import exit_code
from kugetsu.cli.foreground import run_in_foreground
from kugetsu.cli.options import notify, write_json
from kugetsu.cli.saying import say
from kugetsu.cli.views import ViewKind, open_view, print_details, standing
from kugetsu.config import Loaded, state_home
from kugetsu.errors import KugetsuError
from kugetsu.shadows import Shadow
from kugetsu.tasks import FINAL_STATES, TaskReport

_NEWS_SECONDS: Final = 5.0
"""How long the end of the program waits for news that do not get through at once."""

MakeShadow = Callable[[House], Awaitable[Shadow]]


def do_one_task(loaded: Loaded, make: MakeShadow, *, name: str, json_events: bool, as_json: bool) -> int:
    """Run the shadow of one task and print what came out.

    Args:
        loaded: the settings.
        make: makes the shadow, in an open house.
        name: of the worker, for people.
        json_events: whether events are streamed instead of shown.
        as_json: whether the report is printed as JSON.

    Returns:
        The exit code.
    """
    if not json_events:
        notify(loaded.notices)
    report = asyncio.run(_do(loaded, make, name, "json" if json_events else "auto"))
    with contextlib.suppress(BrokenPipeError):  # the task is what counts, not whether somebody reads about it
        if as_json:
            write_json(report)
        else:
            print_details(report, sys.stdout)
    return exit_code(report.state)


async def _do(loaded: Loaded, make: MakeShadow, name: str, view: ViewKind) -> TaskReport:
    tune_process()
    async with House(loaded.settings, state_home(os.environ), os.environ, name=name) as house:
        house.capacity.gate.require_room_for_task()
        shadow = await make(house)
        with open_view(view, sys.stderr) as shown:
            async with _telling(house, shadow):
                (report,) = await run_in_foreground(house, [shadow], shown)
        if view != "json" and report.state not in FINAL_STATES:
            await _say_what_next(house, report)
    return report


@contextlib.asynccontextmanager
async def _telling(house: House, shadow: Shadow) -> AsyncIterator[None]:
    """Bring news of the task to those who are to hear of it. What cannot be brought soon is left to `serve`, or the next run."""
    if not house.settings.notify:
        yield
        return
    from kugetsu.gateway.notifications import Dispatcher  # noqa: PLC0415 - needed only where somebody is to hear

    dispatcher = Dispatcher(house.store, house.settings, house.environ, house.clock, say)
    house.worker.listeners.append(dispatcher.wake)
    async with dispatcher.running([shadow.task.id]):
        yield
        await dispatcher.drain(_NEWS_SECONDS)


async def _say_what_next(house: House, report: TaskReport) -> None:
    with contextlib.suppress(KugetsuError):  # it is in the report as well
        say(standing(await LocalTasks(house).show(report.id), now=house.clock.now()))
