"""`kugetsu cancel`, `pause`, `retry`, `answer`, `steer` and `priority`: what users tell tasks."""

from pathlib import Path

import click

from kugetsu.app.desk import control, finish_cancel
from kugetsu.app.house import House
from kugetsu.cli.asking import read_text
from kugetsu.cli.controls import act, task_argument, wish
from kugetsu.cli.options import config_option, json_option, load
from kugetsu.tasks import MOST_PRIORITY, Answer, Cancel, Pause, Prioritise, Retry, Say, TaskRecord


@click.command("cancel")
@task_argument
@click.option("--reason", default="", metavar="TEXT", help="Why; kept with the task.")
@config_option
@json_option
def cancel_command(task_id: str, reason: str, config_file: Path | None, *, as_json: bool) -> None:
    """End a task. What its agent did is committed and kept on its branch.

    A task that nobody works on is finished here and now.
    """

    async def cancel(house: House) -> TaskRecord:
        record = await control(house, task_id, Cancel(reason) if reason else Cancel())
        if record.state == "pending":  # it has work, and nobody who brings it home
            await finish_cancel(house, record)
        return await house.store.find(record.id)

    act(cancel, settings=load(config_file=config_file).settings, as_json=as_json)


@click.command("pause")
@task_argument
@json_option
def pause_command(task_id: str, *, as_json: bool) -> None:
    """Let a task rest: a running one once its agent has ended its turn, any other at once."""
    wish(task_id, Pause(), as_json=as_json)


@click.command("retry")
@task_argument
@json_option
def retry_command(task_id: str, *, as_json: bool) -> None:
    """Put a task that failed or was cancelled into the queue again.

    Its agent goes on with the same conversation and worktree, and is told what was tried.
    """
    wish(task_id, Retry(), as_json=as_json)


@click.command("answer")
@task_argument
@click.argument("text")
@json_option
def answer_command(task_id: str, text: str, *, as_json: bool) -> None:
    """Answer the question of a task; TEXT - reads it from stdin. It goes on with the answer."""
    wish(task_id, Answer(read_text(text, "answer")), as_json=as_json)


@click.command("steer")
@task_argument
@click.argument("text")
@click.option("--follow-up", is_flag=True, help="Say it when the agent would stop, not after its running calls.")
@click.option("--key", default="", metavar="KEY", help="Your name for it: said twice under one name, it is heard once.")
@json_option
def steer_command(task_id: str, text: str, key: str, *, follow_up: bool, as_json: bool) -> None:
    """Say something to the agent of a task; TEXT - reads it from stdin.

    A task that does not run hears it when it goes on.
    """
    words = read_text(text, "text")
    wish(task_id, Say(words, "follow_up" if follow_up else "steering", key), as_json=as_json)


@click.command("priority", context_settings={"ignore_unknown_options": True})
@task_argument
@click.argument("number", metavar="N", type=click.IntRange(-MOST_PRIORITY, MOST_PRIORITY))
@json_option
def priority_command(task_id: str, number: int, *, as_json: bool) -> None:
    """Give a task another place in the queue: N from -100 to 100, higher goes first."""
    wish(task_id, Prioritise(number), as_json=as_json)
