"""`kugetsu list`, `show`, `diff` and `stats`: what is known of tasks."""

import asyncio
import os
import sys
import time
from typing import Final, get_args

import click

from kugetsu.cli.controls import task_argument
from kugetsu.cli.options import json_option, server_option, write_json
from kugetsu.cli.service import open_service, reach
from kugetsu.cli.views import print_details, print_listing, print_stats, queue_fields
from kugetsu.config import state_home
from kugetsu.protocols import Stats, TaskDetails, TaskDiff, TaskService
from kugetsu.tasks import TaskReport, TaskState

_PAGE: Final = 500
"""Tasks that a server hands out at once."""

_REPLACED: Final = "\N{REPLACEMENT CHARACTER}"


@click.command("list")
@click.option("-n", "--limit", type=click.IntRange(1), default=50, show_default=True, help="Show at most so many.")
@click.option(
    "--state",
    "states",
    type=click.Choice(get_args(TaskState)),
    multiple=True,
    help="Show only tasks in this state. May be repeated.",
)
@server_option
@json_option
def list_command(limit: int, states: tuple[TaskState, ...], server: str, *, as_json: bool) -> None:
    """List tasks, newest first. Below one that waits stands what for."""
    list_tasks(server, states, limit, as_json=as_json)


def list_tasks(server: str, states: tuple[TaskState, ...], most: int, *, as_json: bool) -> None:
    """Print the newest tasks that are in one of these states, or in any."""

    async def read() -> list[TaskReport]:
        async with open_service(server) as tasks:
            return await newest(tasks, states, most)

    reports = asyncio.run(read())
    if as_json:
        write_json({"tasks": reports})
    else:
        print_listing(reports, sys.stdout, now=time.time())


async def newest(tasks: TaskService, states: tuple[TaskState, ...], most: int) -> list[TaskReport]:
    """The newest tasks that are in one of these states, or in any; at most so many, or all for 0."""
    found: list[TaskReport] = []
    before = 0
    while not most or len(found) < most:
        page = await tasks.list(states=states, most=min(_PAGE, most - len(found)) if most else _PAGE, before=before)
        found += page.tasks
        if not (before := page.next):
            break
    return found


@click.command("show")
@task_argument
@server_option
@json_option
def show_command(task_id: str, server: str, *, as_json: bool) -> None:
    """Show everything that is known of a task. A unique beginning of its ID is enough, or the issue that it is about."""

    async def read() -> TaskDetails:
        async with open_service(server) as tasks:
            return await tasks.show(task_id)

    task = asyncio.run(read())
    if as_json:
        write_json(task)
    else:
        print_details(task, sys.stdout, more=queue_fields(task, time.time()))


@click.command("diff")
@task_argument
@server_option
@json_option
def diff_command(task_id: str, server: str, *, as_json: bool) -> None:
    """Show what a task changed, as a patch: what is in its worktree while that is there, else on its branch."""
    found, patch = asyncio.run(_diff(task_id, server))
    if as_json:
        write_json(found)
    else:
        sys.stdout.buffer.write(patch)


async def _diff(task_id: str, server: str) -> tuple[TaskDiff, bytes]:
    """The diff, and the patch byte for byte where the repository can be seen from here."""
    async with reach(server) as reached:
        found = await reached.service.diff(task_id)
        if not (reached.ours and _REPLACED in found.diff):
            return found, found.diff.encode()
        from kugetsu.workspace import branch_diff  # noqa: PLC0415 - needed only for bytes that are no text

        repo = (await reached.service.show(found.id)).repo
        return found, await branch_diff(state_home(os.environ), repo, found.base, found.branch)


@click.command("stats")
@server_option
@json_option
def stats_command(server: str, *, as_json: bool) -> None:
    """Say how things stand: how many tasks are in each state, what runs, and what there is room for."""

    async def read() -> Stats:
        async with open_service(server) as tasks:
            return await tasks.stats()

    stats = asyncio.run(read())
    if as_json:
        write_json(stats)
    else:
        print_stats(stats, sys.stdout)
