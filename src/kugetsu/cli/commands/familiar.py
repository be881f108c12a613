"""Commands under the names that users of the original Kugetsu know: `delegate`, `start`, `continue`, `destroy`, `context`."""

import asyncio
import time
from pathlib import Path
from typing import Any, Final

import click

from kugetsu.cli.asking import Asked, read_text
from kugetsu.cli.commands.control import cancel
from kugetsu.cli.commands.logs import show_session
from kugetsu.cli.commands.submit import submit_command
from kugetsu.cli.continuing import go_on
from kugetsu.cli.controls import print_standing, task_argument
from kugetsu.cli.exits import Exit
from kugetsu.cli.options import LIMIT_FLAGS, config_option, json_option, limit_options, load, server_option, write_json
from kugetsu.cli.saying import say
from kugetsu.cli.service import named_server, open_service
from kugetsu.cli.submitting import print_accepted, queue_options, submit
from kugetsu.cli.views import one_line, standing
from kugetsu.config import Settings
from kugetsu.errors import StateConflictError, TaskNotFoundError, UsageError
from kugetsu.protocols import Accepted, TaskDetails
from kugetsu.tasks import FINAL_STATES, parse_subject

issue_argument: Final = click.argument("issue", metavar="REF")
"""An issue: `host/owner/repo#number`, `owner/repo#number`, or its address."""

delegate_command: Final = click.Command(
    "delegate",
    callback=submit_command.callback,
    params=submit_command.params,
    help="Put a task into the queue and print its ID: the same as `kugetsu submit`.",
)


@click.command("start")
@issue_argument
@click.argument("prompt", metavar="MSG")
@queue_options
def start_command(issue: str, prompt: str, **options: Any) -> int:  # noqa: ANN401 - see `submit`
    """Put a task about an issue into the queue; the issue is a name of it from then on.

    REF is host/owner/repo#number, owner/repo#number, or the address of an issue. The repository is that of your settings'
    `projects`, else that of the issue's address, unless --repo says otherwise. MSG - reads it from stdin.

    An issue that is being worked on is refused: `kugetsu continue` speaks to its agent.
    """
    start(issue, read_text(prompt, "message"), **options)
    return Exit.COMPLETED


def start(issue: str, prompt: str, *, server: str, key: str, **options: Any) -> None:  # noqa: ANN401 - see `submit`
    """Put a task about an issue into the queue, unless there is one that is not over.

    Raises:
        UsageError: it is no issue.
        StateConflictError: there is a task about it already.
    """
    if parse_subject(issue) is None:
        raise UsageError(f"{issue[:200]!a} names no issue", fix="write host/owner/repo#number, or its address")
    there = asyncio.run(_about(issue, server))
    if there and there.state not in FINAL_STATES and not (key and key == there.key):
        raise StateConflictError(
            f"the task {there.id} about {there.subject} is {there.state}",
            fix=f"`kugetsu continue {there.id} MSG` speaks to it; `kugetsu submit --subject` begins another one",
        )
    submit(prompt, server=server, key=key, subject=issue, **options)


async def _about(issue: str, server: str) -> TaskDetails | None:
    async with open_service(server) as tasks:
        try:
            return await tasks.show(issue)
        except TaskNotFoundError:
            return None


@click.command("continue")
@task_argument
@click.argument("message", metavar="[MSG]", required=False)
@limit_options
@server_option
@config_option
@json_option
def continue_command(
    task_id: str,
    message: str | None,
    server: str,
    config_file: Path | None,
    *,
    as_json: bool,
    **limits: Any,  # noqa: ANN401 - see `Asked`
) -> int:
    """Let a task go on, with a message or without, however it stands. Said twice, it is done once.

    ID is also an issue. A task that runs hears the message; one that asks gets it as its answer; one that rests goes on; one
    that failed or was cancelled is tried again. One that is completed is left as it is, and another one begins from its end,
    with its conversation. An issue without a task gets its first.

    Ends with 5 when the task asks something and there is no message.
    """
    text = None if message is None else read_text(message, "message")
    changes = {LIMIT_FLAGS[name]: value for name, value in limits.items() if value is not None}
    settings = Settings() if named_server(server) else load(config_file=config_file).settings
    asked = Asked(subject=task_id, config_file=config_file, **limits)
    done = asyncio.run(go_on(task_id, text, changes, asked, server, settings))
    if isinstance(done, Accepted):
        print_accepted(done, as_json=as_json)
        return Exit.COMPLETED
    print_standing(done, as_json=as_json)
    return Exit.WAITING if done.question and text is None else Exit.COMPLETED


@click.command("destroy")
@task_argument
@click.option("--reason", default="", metavar="TEXT", help="Why; kept with the task.")
@server_option
@config_option
@json_option
def destroy_command(task_id: str, reason: str, server: str, config_file: Path | None, *, as_json: bool) -> None:
    """End a task, as `kugetsu cancel`. Nothing is lost: what its agent did is committed and stays on its branch.

    So an open pull request is no reason to refuse: its branch is not touched. A task that is over stays as it is;
    `kugetsu prune` frees what it takes.
    """

    async def look() -> TaskDetails:
        async with open_service(server) as tasks:
            return await tasks.show(task_id)

    task = asyncio.run(look())
    if task.state not in FINAL_STATES:
        settings = Settings() if named_server(server) else load(config_file=config_file).settings
        print_standing(asyncio.run(cancel(task.id, reason, server, settings)), as_json=as_json)
    elif as_json:
        write_json(task)
    else:
        click.echo(standing(task, now=time.time()))
        stays = f"; its branch {one_line(task.branch)} stays" if task.branch else ""
        say(f"it was over already{stays}; `kugetsu prune` frees what it takes")


@click.command("context")
@task_argument
@server_option
@json_option
def context_command(task_id: str, server: str, *, as_json: bool) -> None:
    """Show the conversation of a task, every word: the same as `kugetsu logs --session`."""
    show_session(task_id, server, full=False, as_json=as_json)
