"""What users tell tasks, answered with where the task stands then."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import click

from kugetsu.cli.options import write_json
from kugetsu.cli.service import open_service
from kugetsu.cli.views import standing
from kugetsu.protocols import TaskDetails, TaskService
from kugetsu.tasks import Control

task_argument = click.argument("task_id", metavar="ID")
"""The task: its id, a unique beginning of it, or the issue that it is about."""


def wish(task_id: str, control: Control, *, server: str, as_json: bool) -> None:
    """Do to a task what a user asks for, and say where it stands then.

    Raises:
        TaskNotFoundError: there is none, or several.
        StateConflictError: it makes no sense in the task's state.
        RecordError: the store cannot be used.
        ServerError: the server that was named does not answer.
    """
    act(lambda tasks: tasks.control(task_id, control), server=server, as_json=as_json)


def act(do: Callable[[TaskService], Awaitable[TaskDetails]], *, server: str, as_json: bool) -> None:
    """Do something to a task, and say where it stands then.

    Args:
        do: does it.
        server: the one that the user names, empty for none.
        as_json: print the task as JSON.
    """

    async def done() -> TaskDetails:
        async with open_service(server, writing=True) as tasks:
            return await do(tasks)

    print_standing(asyncio.run(done()), as_json=as_json)


def print_standing(task: TaskDetails, *, as_json: bool = False) -> None:
    """Print where a task stands, or all of it as JSON."""
    if as_json:
        write_json(task)
    else:
        click.echo(standing(task, now=time.time()))
