"""`kugetsu run`."""

from typing import Any

import click

from kugetsu.app.house import House
from kugetsu.cli.asking import Asked, read_text, task_options
from kugetsu.cli.detaching import run_detached
from kugetsu.cli.exits import Exit
from kugetsu.cli.one_task import do_one_task
from kugetsu.cli.options import notify, output_options, write_json
from kugetsu.cli.submitting import print_accepted
from kugetsu.errors import QueueFullError, UsageError
from kugetsu.shadows import Shadow


@click.command("run")
@click.argument("prompt")
@click.option("--detach", is_flag=True, help="Do it in a process that outlives this one; print its ID and return.")
@click.option("--key", default="", metavar="KEY", help="With --detach: your name for it; given twice, it is one task.")
@output_options
@task_options
def run_command(
    prompt: str,
    *,
    detach: bool,
    key: str,
    json_events: bool,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - see `Asked`
) -> int:
    """Do one task in the foreground, without a server, and hand back a branch.

    PROMPT is the task in your words; - reads it from stdin. The agent works in a git worktree of its own: your checkout
    is not touched. Progress goes to stderr, the result to stdout.

    Ctrl-C cancels and keeps the work. SIGTERM stops: the agent ends its turn, and `kugetsu resume ID` goes on, as it does
    after a crash. A second signal stops at once.

    With --detach it is done in a process of its own, which nothing that happens to this one disturbs.
    """
    if key and not detach:
        raise UsageError("--key is for --detach", fix="leave it out, or add --detach")
    settled = Asked(**options).settled()
    text = read_text(prompt, "prompt")
    if detach:
        notify(settled.loaded.notices)
        try:
            print_accepted(run_detached(settled, text, key=key), as_json=as_json)
        except QueueFullError as full:
            if as_json:
                write_json({"error": full.message, "retry_after": full.retry_after})
            raise
        return Exit.COMPLETED

    async def make(house: House) -> Shadow:
        return house.shadow(settled.task(house, text))

    return do_one_task(settled.loaded, make, name="kugetsu run", json_events=json_events, as_json=as_json)
