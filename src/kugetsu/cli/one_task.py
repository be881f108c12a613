"""One task in the foreground: shown while it runs, printed when it is over or halts."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable

import click

from kugetsu.app.desk import is_served
from kugetsu.app.house import House
from kugetsu.app.tuning import tune_process
from kugetsu.cli.asking import Command
from kugetsu.cli.exits import exit_code
from kugetsu.cli.foreground import run_in_foreground, say
from kugetsu.cli.options import json_option, notify, write_json
from kugetsu.cli.views import ViewKind, open_view, print_details, standing
from kugetsu.config import Loaded, state_home
from kugetsu.errors import KugetsuError
from kugetsu.shadows import Shadow
from kugetsu.tasks import FINAL_STATES, TaskReport

MakeShadow = Callable[[House], Awaitable[Shadow]]


def output_options(command: Command) -> Command:
    """Add `--json` and `--json-events`."""
    return click.option(
        "--json-events", is_flag=True, help="Stream events as JSON lines on stderr instead of the live view."
    )(json_option(command))


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
            (report,) = await run_in_foreground(house, [shadow], shown)
        if view != "json" and report.state not in FINAL_STATES:
            await _say_what_next(house, report)
    return report


async def _say_what_next(house: House, report: TaskReport) -> None:
    with contextlib.suppress(KugetsuError):  # it is in the report as well
        record = await house.store.find(report.id)
        say(standing(record, served=await is_served(house), now=house.clock.now()))
