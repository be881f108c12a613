"""`kugetsu resume`."""

from pathlib import Path

import click

from kugetsu.app.desk import resume
from kugetsu.app.house import House
from kugetsu.cli.controls import task_argument, wish
from kugetsu.cli.exits import Exit
from kugetsu.cli.one_task import do_one_task, output_options
from kugetsu.cli.options import config_option, load
from kugetsu.shadows import Shadow
from kugetsu.tasks import Resume


@click.command("resume")
@task_argument
@click.option("--queue", is_flag=True, help="Only let it go on, in the queue, where a worker takes it up.")
@output_options
@config_option
def resume_command(task_id: str, config_file: Path | None, *, queue: bool, json_events: bool, as_json: bool) -> int:
    """Go on with a task where it stood: one that was interrupted, was paused, or has got its answer.

    The conversation and the worktree are as they were. What is shown, printed and returned is as with `kugetsu run`.
    """
    if queue:
        wish(task_id, Resume(), as_json=as_json)
        return Exit.COMPLETED

    async def make(house: House) -> Shadow:
        return await resume(house, task_id)

    loaded = load(config_file=config_file)
    return do_one_task(loaded, make, name="kugetsu resume", json_events=json_events, as_json=as_json)
