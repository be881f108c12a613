"""Tasks for the queue: what they can be told beside the job, and what is said of them then."""

import asyncio
import time
from typing import Any

import click
import msgspec

from kugetsu.cli.asking import Asked, Command, work_options
from kugetsu.cli.options import json_option, notify, server_option, write_json
from kugetsu.cli.saying import say
from kugetsu.cli.service import named_server, open_service
from kugetsu.cli.times import moment, span
from kugetsu.cli.views import standing
from kugetsu.config import Settings
from kugetsu.errors import QueueFullError, UsageError
from kugetsu.protocols import Accepted, NewTask
from kugetsu.tasks import MOST_PRIORITY


def queue_options(command: Command) -> Command:
    """Add all that a task for the queue can be told, apart from what it is about; `submit` takes the values."""
    for option in (
        work_options,
        server_option,
        json_option,
        click.option("--key", default="", metavar="KEY", help="Your name for it: submitted twice, it is one task."),
        click.option("--deadline", type=moment, metavar="TIME", help="Give it up if it has not been started by then."),
        click.option(
            "--at", type=moment, metavar="TIME", help="Start no earlier than this: 2030-01-31T12:00, local time."
        ),
        click.option(
            "--delay", type=span, metavar="SPAN", help="Start no earlier than this from now: 90, 15m, 2h, 1d."
        ),
        click.option(
            "--after", multiple=True, metavar="ID", help="Start once this task is completed. May be repeated."
        ),
        click.option(
            "--priority",
            type=click.IntRange(-MOST_PRIORITY, MOST_PRIORITY),
            default=0,
            metavar="N",
            help="From -100 to 100; higher goes first. Default: 0.",
        ),
    ):
        command = option(command)
    return command


def submit(
    prompt: str,
    *,
    priority: int,
    after: tuple[str, ...],
    delay: float | None,
    at: float | None,
    deadline: float | None,
    key: str,
    server: str,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - see `Asked`
) -> None:
    """Put a task into the queue and print its id.

    Raises:
        KugetsuError: as for `TaskService.submit`.
    """
    if delay is not None and at is not None:
        raise UsageError("--delay and --at exclude each other", fix="give one of them")
    delay, at, deadline = delay or 0.0, at or 0.0, deadline or 0.0
    if deadline and deadline <= max(at, time.time() + delay):
        raise UsageError("the deadline is over before the task may start", fix="give a later --deadline")
    asked = Asked(**options)
    times = {"delay": delay, "start_at": at, "deadline_at": deadline}
    new, settings = new_task(asked, prompt, server, priority=priority, after=after, key=key, **times)
    notify(new.notices)
    try:
        accepted = asyncio.run(_submit(new, server, settings))
    except QueueFullError as full:
        if as_json:
            write_json({"error": full.message, "retry_after": full.retry_after})
        raise
    print_accepted(accepted, as_json=as_json)


def new_task(asked: Asked, prompt: str, server: str, **more: Any) -> tuple[NewTask, Settings | None]:  # noqa: ANN401 - fields of `NewTask`
    """What is to be submitted, and the settings that count where no server does."""
    if named_server(server):
        return asked.there(prompt, **more), None
    settled = asked.settled()
    return settled.here(prompt, **more), settled.loaded.settings


async def _submit(new: NewTask, server: str, settings: Settings | None) -> Accepted:
    async with open_service(server, settings=settings, writing=True) as tasks:
        return await tasks.submit(new)


def print_accepted(accepted: Accepted, *, as_json: bool) -> None:
    """Print the id on stdout, and on stderr where the task stands.

    Args:
        accepted: what became of it.
        as_json: print the whole task as JSON instead; `created` says whether it is new.
    """
    if as_json:
        write_json({**msgspec.to_builtins(accepted.task), "created": accepted.created})
        return
    click.echo(accepted.task.id)
    there = "" if accepted.created else "it was submitted before; "
    say(there + standing(accepted.task, now=time.time()))
