"""`kugetsu cancel`, `pause`, `retry`, `answer`, `steer` and `priority`: what users tell tasks."""

import asyncio
import os
from pathlib import Path

import click

from kugetsu.cli.asking import read_text
from kugetsu.cli.controls import print_standing, task_argument, wish
from kugetsu.cli.options import config_option, json_option, load, server_option
from kugetsu.cli.service import named_server, reach
from kugetsu.config import Settings, state_home
from kugetsu.protocols import TaskDetails
from kugetsu.tasks import MOST_PRIORITY, Answer, Cancel, Pause, Prioritise, Retry, Say


@click.command("cancel")
@task_argument
@click.option("--reason", default="", metavar="TEXT", help="Why; kept with the task.")
@server_option
@config_option
@json_option
def cancel_command(task_id: str, reason: str, server: str, config_file: Path | None, *, as_json: bool) -> None:
    """End a task. What its agent did is committed and kept on its branch.

    A task that nobody works on is finished by the server, or here and now when there is none.
    """
    settings = Settings() if named_server(server) else load(config_file=config_file).settings
    print_standing(asyncio.run(cancel(task_id, reason, server, settings)), as_json=as_json)


async def cancel(task_id: str, reason: str, server: str, settings: Settings) -> TaskDetails:
    """End a task, and bring its work home if nobody else does."""
    async with reach(server, settings=settings, writing=True) as reached:
        task = await reached.service.control(task_id, Cancel(reason) if reason else Cancel())
    if reached.url or task.state != "pending":
        return task
    return await _bring_home(task.id, settings)


async def _bring_home(task: str, settings: Settings) -> TaskDetails:
    """Deliver the work of a task that is to be cancelled, unless somebody is at it already."""
    from kugetsu.app.desk import finish_cancel  # noqa: PLC0415 - needed only for a task that has work
    from kugetsu.app.house import House  # noqa: PLC0415 - as above
    from kugetsu.app.service import LocalTasks  # noqa: PLC0415 - as above

    async with House(settings, state_home(os.environ), os.environ, name="kugetsu") as house:
        await finish_cancel(house, await house.store.find(task))
        return await LocalTasks(house).show(task)


@click.command("pause")
@task_argument
@server_option
@json_option
def pause_command(task_id: str, server: str, *, as_json: bool) -> None:
    """Let a task rest: a running one once its agent has ended its turn, any other at once."""
    wish(task_id, Pause(), server=server, as_json=as_json)


@click.command("retry")
@task_argument
@server_option
@json_option
def retry_command(task_id: str, server: str, *, as_json: bool) -> None:
    """Put a task that failed or was cancelled into the queue again.

    Its agent goes on with the same conversation and worktree, and is told what was tried.
    """
    wish(task_id, Retry(), server=server, as_json=as_json)


@click.command("answer")
@task_argument
@click.argument("text")
@server_option
@json_option
def answer_command(task_id: str, text: str, server: str, *, as_json: bool) -> None:
    """Answer the question of a task; TEXT - reads it from stdin. It goes on with the answer."""
    wish(task_id, Answer(read_text(text, "answer")), server=server, as_json=as_json)


@click.command("steer")
@task_argument
@click.argument("text")
@click.option("--follow-up", is_flag=True, help="Say it when the agent would stop, not after its running calls.")
@click.option("--key", default="", metavar="KEY", help="Your name for it: said twice under one name, it is heard once.")
@server_option
@json_option
def steer_command(task_id: str, text: str, key: str, server: str, *, follow_up: bool, as_json: bool) -> None:
    """Say something to the agent of a task; TEXT - reads it from stdin.

    A task that does not run hears it when it goes on.
    """
    words = Say(read_text(text, "text"), "follow_up" if follow_up else "steering", key)
    wish(task_id, words, server=server, as_json=as_json)


@click.command("priority", context_settings={"ignore_unknown_options": True})
@task_argument
@click.argument("number", metavar="N", type=click.IntRange(-MOST_PRIORITY, MOST_PRIORITY))
@server_option
@json_option
def priority_command(task_id: str, number: int, server: str, *, as_json: bool) -> None:
    """Give a task another place in the queue: N from -100 to 100, higher goes first."""
    wish(task_id, Prioritise(number), server=server, as_json=as_json)
