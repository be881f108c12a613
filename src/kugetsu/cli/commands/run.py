"""`kugetsu run`."""

from typing import Any

import click

from kugetsu.app.house import House
from kugetsu.cli.asking import Asked, read_text, task_options
from kugetsu.cli.one_task import do_one_task, output_options
from kugetsu.shadows import Shadow


@click.command("run")
@click.argument("prompt")
@output_options
@task_options
def run_command(prompt: str, *, json_events: bool, as_json: bool, **options: Any) -> int:  # noqa: ANN401 - see `Asked`
    """Do one task in the foreground, without a server, and hand back a branch.

    PROMPT is the task in your words; - reads it from stdin. The agent works in a git worktree of its own: your checkout
    is not touched. Progress goes to stderr, the result to stdout.

    Ctrl-C cancels and keeps the work. SIGTERM stops: the agent ends its turn, and `kugetsu resume ID` goes on, as it does
    after a crash. A second signal stops at once.
    """
    asked = Asked(**options)
    loaded = asked.load()
    text = read_text(prompt, "prompt")

    async def make(house: House) -> Shadow:
        return house.shadow(asked.task(house, text, loaded))

    return do_one_task(loaded, make, name="kugetsu run", json_events=json_events, as_json=as_json)
