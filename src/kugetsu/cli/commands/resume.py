"""`kugetsu resume`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kugetsu.cli.controls import act, print_standing, task_argument
from kugetsu.cli.exits import Exit
from kugetsu.cli.options import LIMIT_FLAGS, config_option, limit_options, load, output_options, server_option
from kugetsu.cli.service import named_server
from kugetsu.errors import UsageError

if TYPE_CHECKING:
    from kugetsu.app.house import House
    from kugetsu.shadows import Shadow


@click.command("resume")
@task_argument
@click.option("--queue", is_flag=True, help="Only let it go on, in the queue, where a worker takes it up.")
@click.option("--detach", is_flag=True, help="Go on in a process that outlives this one; return at once.")
@limit_options
@output_options
@server_option
@config_option
def resume_command(
    task_id: str,
    server: str,
    config_file: Path | None,
    *,
    queue: bool,
    detach: bool,
    json_events: bool,
    as_json: bool,
    **limits: float | None,
) -> int:
    """Go on with a task where it stood: one that was interrupted, was paused, or has got its answer.

    The conversation and the worktree are as they were. A task that was paused at a limit goes on with more:
    `kugetsu resume ID --max-usd 20`. What is shown, printed and returned is as with `kugetsu run`.
    """
    changes = {LIMIT_FLAGS[name]: value for name, value in limits.items() if value is not None}
    if queue:
        act(lambda tasks: tasks.resume(task_id, changes), server=server, as_json=as_json)
        return Exit.COMPLETED
    if named := named_server(server):
        raise UsageError(
            f"a task of the server {named} goes on there, not here",
            fix="add --queue; or leave out --server and KUGETSU_SERVER for a task of this machine",
        )
    if detach:
        from kugetsu.cli.detaching import resume_detached  # noqa: PLC0415 - needed only here

        print_standing(resume_detached(task_id, changes, config_file), as_json=as_json)
        return Exit.COMPLETED
    from kugetsu.cli.one_task import do_one_task  # noqa: PLC0415 - needed only in the foreground

    return do_one_task(
        load(config_file=config_file),
        lambda house: _resumed(house, task_id, changes),
        name="kugetsu resume",
        json_events=json_events,
        as_json=as_json,
    )


async def _resumed(house: "House", task_id: str, changes: dict[str, float]) -> "Shadow":
    from kugetsu.app.desk import resume  # noqa: PLC0415 - needed only in the foreground

    return await resume(house, task_id, changes)
