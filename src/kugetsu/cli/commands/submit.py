"""`kugetsu submit`."""

import asyncio
import os
from typing import Any

import click

from kugetsu.app import desk
from kugetsu.app.house import House
from kugetsu.cli.asking import Asked, read_text, task_options
from kugetsu.cli.exits import Exit
from kugetsu.cli.options import json_option, notify, write_json
from kugetsu.cli.submitting import print_submitted
from kugetsu.cli.times import moment, span
from kugetsu.config import Loaded, state_home
from kugetsu.errors import QueueFullError, UsageError
from kugetsu.protocols import Submitted
from kugetsu.tasks import MOST_PRIORITY


@click.command("submit")
@click.argument("prompt")
@click.option(
    "--priority",
    type=click.IntRange(-MOST_PRIORITY, MOST_PRIORITY),
    default=0,
    metavar="N",
    help="From -100 to 100; higher goes first. Default: 0.",
)
@click.option("--after", multiple=True, metavar="ID", help="Start once this task is completed. May be repeated.")
@click.option("--delay", type=span, metavar="SPAN", help="Start no earlier than this from now: 90, 15m, 2h, 1d.")
@click.option("--at", type=moment, metavar="TIME", help="Start no earlier than this: 2030-01-31T12:00, local time.")
@click.option("--deadline", type=moment, metavar="TIME", help="Give it up if it has not been started by then.")
@click.option("--key", default="", metavar="KEY", help="Your name for it: submitted twice, it is one task.")
@json_option
@task_options
def submit_command(
    prompt: str,
    priority: int,
    after: tuple[str, ...],
    delay: float | None,
    at: float | None,
    deadline: float | None,
    key: str,
    *,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - see `Asked`
) -> int:
    """Put a task into the queue and print its ID. `kugetsu serve` works on the queue.

    PROMPT is the task in your words; - reads it from stdin. Ends with 4 when the queue is full, and says how long to wait.
    """
    asked = Asked(**options)
    loaded, text = asked.load(), read_text(prompt, "prompt")
    if delay is not None and at is not None:
        raise UsageError("--delay and --at exclude each other", fix="give one of them")
    times = {"delay": delay or 0.0, "start_at": at or 0.0, "deadline_at": deadline or 0.0}
    notify(loaded.notices)
    try:
        submitted, served = asyncio.run(_submit(asked, loaded, text, after, key, priority=priority, **times))
    except QueueFullError as full:
        if as_json:
            write_json({"error": full.message, "retry_after": full.retry_after})
        raise
    print_submitted(submitted, served, as_json=as_json)
    return Exit.COMPLETED


async def _submit(
    asked: Asked,
    loaded: Loaded,
    prompt: str,
    after: tuple[str, ...],
    key: str,
    *,
    delay: float,
    start_at: float,
    deadline_at: float,
    priority: int,
) -> tuple[Submitted, bool]:
    async with House(loaded.settings, state_home(os.environ), os.environ, name="kugetsu") as house:
        start_at = house.clock.now() + delay if delay else start_at
        if deadline_at and deadline_at <= max(start_at, house.clock.now()):
            raise UsageError("the deadline is over before the task may start", fix="give a later --deadline")
        needed = [(await desk.find(house, prefix)).id for prefix in after]
        task = asked.task(
            house,
            prompt,
            loaded,
            priority=priority,
            start_at=start_at,
            deadline_at=deadline_at,
            after=tuple(dict.fromkeys(needed)),
            queued=True,
        )
        return await desk.submit(house, task, key=key), await desk.is_served(house)
