"""`kugetsu resume`."""

from pathlib import Path

import click

from kugetsu.app.desk import control, new_limits, resume
from kugetsu.app.house import House
from kugetsu.cli.controls import act, task_argument
from kugetsu.cli.exits import Exit
from kugetsu.cli.one_task import do_one_task, output_options
from kugetsu.cli.options import LIMIT_FLAGS, config_option, limit_options, load
from kugetsu.shadows import Shadow
from kugetsu.tasks import Resume, TaskRecord


@click.command("resume")
@task_argument
@click.option("--queue", is_flag=True, help="Only let it go on, in the queue, where a worker takes it up.")
@limit_options
@output_options
@config_option
def resume_command(
    task_id: str, config_file: Path | None, *, queue: bool, json_events: bool, as_json: bool, **limits: float | None
) -> int:
    """Go on with a task where it stood: one that was interrupted, was paused, or has got its answer.

    The conversation and the worktree are as they were. A task that was paused at a limit goes on with more:
    `kugetsu resume ID --max-usd 20`. What is shown, printed and returned is as with `kugetsu run`.
    """
    changes = {LIMIT_FLAGS[name]: value for name, value in limits.items() if value is not None}
    if queue:

        async def let_go_on(house: House) -> TaskRecord:
            return await control(house, task_id, Resume(await new_limits(house, task_id, changes)))

        act(let_go_on, as_json=as_json)
        return Exit.COMPLETED

    async def make(house: House) -> Shadow:
        return await resume(house, task_id, changes)

    loaded = load(config_file=config_file)
    return do_one_task(loaded, make, name="kugetsu resume", json_events=json_events, as_json=as_json)
