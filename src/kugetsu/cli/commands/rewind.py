"""`kugetsu rewind` and `fork`: back to a turn, and on from one."""

import asyncio
import os
from pathlib import Path

import click

from kugetsu.app import desk
from kugetsu.app.house import House
from kugetsu.app.service import LocalTasks
from kugetsu.cli.asking import read_text
from kugetsu.cli.controls import print_standing, task_argument
from kugetsu.cli.exits import Exit
from kugetsu.cli.one_task import do_one_task
from kugetsu.cli.options import config_option, json_option, load, output_options
from kugetsu.cli.submitting import print_accepted
from kugetsu.config import Settings, state_home
from kugetsu.protocols import Accepted, TaskDetails
from kugetsu.shadows import Shadow

turn_option = click.option(
    "--turn", type=click.IntRange(0), required=True, metavar="N", help="The last turn that counts; 0 for none."
)


@click.command("rewind")
@task_argument
@turn_option
@json_option
def rewind_command(task_id: str, turn: int, *, as_json: bool) -> None:
    """Put a task back to the end of a turn: its conversation and its worktree. It is paused then.

    `kugetsu logs ID --session` shows the turns. What came after is kept in the log, and counts no longer.
    """

    async def rewind() -> TaskDetails:
        async with House(Settings(), state_home(os.environ), os.environ, name="kugetsu") as house:
            return await LocalTasks(house).show((await desk.rewind(house, task_id, turn)).id)

    print_standing(asyncio.run(rewind()), as_json=as_json)


@click.command("fork")
@task_argument
@turn_option
@click.argument("prompt")
@click.option("--queue", is_flag=True, help="Only put it into the queue, where a worker takes it up.")
@output_options
@config_option
def fork_command(
    task_id: str,
    turn: int,
    prompt: str,
    config_file: Path | None,
    *,
    queue: bool,
    json_events: bool,
    as_json: bool,
) -> int:
    """Begin a new task from the end of a turn of another one, with other instructions.

    It has the conversation and the worktree of that turn, and a branch of its own. PROMPT is what to do from there on; -
    reads it from stdin. What is shown, printed and returned is as with `kugetsu run`.
    """
    loaded, text = load(config_file=config_file), read_text(prompt, "prompt")
    if queue:
        print_accepted(asyncio.run(enqueue_fork(loaded.settings, task_id, turn, text)), as_json=as_json)
        return Exit.COMPLETED

    async def make(house: House) -> Shadow:
        return house.shadow(*await desk.fork(house, task_id, turn, text))

    return do_one_task(loaded, make, name="kugetsu fork", json_events=json_events, as_json=as_json)


async def enqueue_fork(settings: Settings, task_id: str, turn: int, prompt: str, *, key: str = "") -> Accepted:
    """Put a task into the queue that begins from the end of a turn of another one."""
    async with House(settings, state_home(os.environ), os.environ, name="kugetsu") as house:
        task, session = await desk.fork(house, task_id, turn, prompt, queued=True)
        submitted = await desk.submit(house, task, key=key, session=session)
        return Accepted(await LocalTasks(house).show(submitted.record.id), submitted.created)
