"""One task in the foreground: shown while it runs, printed when it is over or halts."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Final

from kugetsu.app.house import House
from kugetsu.app.service import LocalTasks
from kugetsu.app.tuning import tune_process
from kugetsu.cli.exits import exit_code
from kugetsu.cli.foreground import run_in_foreground
from kugetsu.cli.options import notify, write_json
from kugetsu.cli.saying import say
from kugetsu.cli.telling import telling
from kugetsu.cli.views import ViewKind, open_view, print_details, standing
from kugetsu.config import Loaded, state_home
from kugetsu.errors import KugetsuError
from kugetsu.shadows import Shadow
from kugetsu.tasks import FINAL_STATES, TaskReport

_NEWS_SECONDS: Final = 5.0
"""How long the end of the program waits for news of its task that do not get through at once. What cannot be brought so soon is
left to `serve`, or the next run."""

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
            async with telling(house, shadow.task.id, say) as dispatcher:
                (report,) = await run_in_foreground(house, [shadow], shown)
                if dispatcher:
                    await dispatcher.drain(_NEWS_SECONDS, [shadow.task.id])
        if view != "json" and report.state not in FINAL_STATES:
            await _say_what_next(house, report)
    return report


async def _say_what_next(house: House, report: TaskReport) -> None:
    with contextlib.suppress(KugetsuError):  # it is in the report as well
        say(standing(await LocalTasks(house).show(report.id), now=house.clock.now()))
