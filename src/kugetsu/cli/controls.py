"""What users tell tasks: done in the store, and answered with where the task stands then."""

import asyncio
import os
from collections.abc import Awaitable, Callable

import click

from kugetsu.app.desk import control, is_served
from kugetsu.app.house import House
from kugetsu.cli.options import write_json
from kugetsu.cli.views import standing
from kugetsu.config import Settings, state_home
from kugetsu.tasks import Control, TaskRecord, TaskReport

task_argument = click.argument("task_id", metavar="ID")
"""The task; a unique beginning of its id is enough."""


def wish(task_id: str, control_: Control, *, as_json: bool) -> None:
    """Do to a task what a user asks for, and say where it stands then.

    Raises:
        TaskNotFoundError: there is none, or several.
        StateConflictError: it makes no sense in the task's state.
        RecordError: the store cannot be used.
    """
    act(lambda house: control(house, task_id, control_), as_json=as_json)


def act(
    do: Callable[[House], Awaitable[TaskRecord]], *, settings: Settings | None = None, as_json: bool = False
) -> None:
    """Do something to a task in an open house, and say where it stands then.

    Args:
        do: does it.
        settings: only needed when a shadow may have to work.
        as_json: print the task as JSON.
    """
    report, sentence = asyncio.run(_act(do, settings or Settings()))
    if as_json:
        write_json(report)
    else:
        click.echo(sentence)


async def _act(do: Callable[[House], Awaitable[TaskRecord]], settings: Settings) -> tuple[TaskReport, str]:
    async with House(settings, state_home(os.environ), os.environ, name="kugetsu") as house:
        record = await do(house)
        return record.shown, standing(record, served=await is_served(house), now=house.clock.now())
