"""`kugetsu status` and `queue`: how things stand, under the names that users of the original Kugetsu know."""

import asyncio
import os
import sys
import time
from typing import Any, Final

import click

from kugetsu.cli.asking import read_text
from kugetsu.cli.commands.familiar import start
from kugetsu.cli.commands.inspect import list_tasks, newest, stats_command
from kugetsu.cli.controls import print_standing
from kugetsu.cli.exits import Exit
from kugetsu.cli.options import json_option, server_option, write_json
from kugetsu.cli.service import open_service, reach
from kugetsu.cli.submitting import queue_options, submit
from kugetsu.cli.views import print_listing, print_stats
from kugetsu.cli.views.amounts import counted
from kugetsu.config import state_home
from kugetsu.protocols import Stats, TaskDetails
from kugetsu.tasks import Cancel, TaskReport, TaskState

_LIVE: Final[tuple[TaskState, ...]] = ("pending", "running", "waiting", "paused")
"""States of tasks that are not over."""

_BUSY: Final[tuple[TaskState, ...]] = ("running", "waiting", "paused")
_MOST_SHOWN: Final = 20


@click.command("status")
@click.argument("task_id", metavar="[ID]", required=False)
@server_option
@json_option
def status_command(task_id: str | None, server: str, *, as_json: bool) -> None:
    """Say where a task stands; without ID whether a server is there, how many tasks there are, what runs and what asks.

    ID is also the issue that a task is about.
    """
    if task_id is not None:
        print_standing(asyncio.run(_standing(task_id, server)), as_json=as_json)
        return
    url, stats, busy = asyncio.run(_overview(server))
    if as_json:
        write_json({"server": url, "stats": stats, "tasks": busy})
        return
    where = url or f"none; this is what is kept in {state_home(os.environ)}"
    print_stats(stats, sys.stdout, more=[("server", where, "")])
    if busy:
        click.echo()
        print_listing(busy, sys.stdout, now=time.time())


async def _standing(task_id: str, server: str) -> TaskDetails:
    async with open_service(server) as tasks:
        return await tasks.show(task_id)


async def _overview(server: str) -> tuple[str, Stats, list[TaskReport]]:
    async with reach(server) as reached:
        return reached.url, await reached.service.stats(), await newest(reached.service, _BUSY, _MOST_SHOWN)


@click.group("queue", context_settings={"help_option_names": ["-h", "--help"]})
def queue_command() -> None:
    """Look at the queue, empty it, or put something into it."""


queue_command.add_command(stats_command, "stats")


@queue_command.command("list")
@click.option("-n", "--limit", type=click.IntRange(1), default=50, show_default=True, help="Show at most so many.")
@server_option
@json_option
def queue_list_command(limit: int, server: str, *, as_json: bool) -> None:
    """List the tasks that are not over, newest first."""
    list_tasks(server, _LIVE, limit, as_json=as_json)


@queue_command.command("clear")
@server_option
@json_option
def queue_clear_command(server: str, *, as_json: bool) -> None:
    """Cancel all tasks that are pending and were never begun. `kugetsu retry ID` brings one back."""
    cancelled, begun = asyncio.run(_clear(server))
    if as_json:
        write_json({"cancelled": cancelled, "begun": begun})
        return
    stay = f"; {len(begun):,} pending that had begun stay" if begun else ""
    click.echo(f"{counted(len(cancelled), 'task')} cancelled{stay}")


async def _clear(server: str) -> tuple[list[str], list[str]]:
    """Cancel what was never begun; the ids of what was cancelled, and of what is pending and had begun."""
    async with open_service(server, writing=True) as tasks:
        pending = await newest(tasks, ("pending",), 0)
        new = [task.id for task in pending if not task.runs]
        for task in new:
            await tasks.control(task, Cancel("the queue was cleared"))
    return new, [task.id for task in pending if task.runs]


@queue_command.command("enqueue")
@click.argument("words", metavar="[REF] MSG", nargs=-1, required=True)
@queue_options
def queue_enqueue_command(words: tuple[str, ...], **options: Any) -> int:  # noqa: ANN401 - see `submit`
    """Put a task into the queue: as `kugetsu start REF MSG`, or without REF as `kugetsu submit MSG`. MSG - reads it from stdin."""
    if len(words) > 2:  # noqa: PLR2004 - an issue and a message
        raise click.UsageError(
            f"Got unexpected extra arguments ({' '.join(words[2:])}): the message must be one argument"
        )
    text = read_text(words[-1], "message")
    if len(words) > 1:
        start(words[0], text, **options)
    else:
        submit(text, **options)
    return Exit.COMPLETED
