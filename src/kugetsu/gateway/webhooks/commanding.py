"""A command is carried out on the newest task about an issue: once, and only on a task that it can have meant."""

from typing import Final, assert_never

from kugetsu.errors import StateConflictError, TaskNotFoundError
from kugetsu.gateway.webhooks.answers import HookAnswer, ignored
from kugetsu.gateway.webhooks.commands import Command
from kugetsu.gateway.webhooks.places import subject_name
from kugetsu.gateway.webhooks.told import Told, line
from kugetsu.protocols import TaskDetails, TaskService
from kugetsu.tasks import Answer, Cancel, Control, Pause, Resume, Retry, Say

_FRESH_SECONDS: Final = 3600.0
"""How old a comment with a command may be: the source may have been trying for a while, but it is no order for ever."""

_CLOCK_SECONDS: Final = 10.0
"""How far the clocks of a source and of this machine may be apart."""


async def obey(service: TaskService, told: Told, command: Command, *, key: str, now: float) -> HookAnswer:
    """Do what a comment asks for; what makes no sense now is ignored, with the reason.

    Args:
        service: has the task.
        told: the comment.
        command: what it says; anything but `run`.
        key: names the comment.
        now: seconds since the epoch.

    Raises:
        RecordError, ServerError: the service cannot be used.
    """
    subject = subject_name(told)
    if not subject:
        return ignored("it is about no issue that has a name")
    try:
        task = await service.show(subject)
    except TaskNotFoundError:
        return ignored(f"no task is about {subject}")
    if command.verb == "status":
        return HookAnswer(what="done", task=task.id, why=f"task {task.id} is {task.state}")
    if stale := _stale(told.said_at, command, task, now):
        return ignored(stale, task.id)
    try:
        task = await service.control(task.id, _control(command, told, key))
    except StateConflictError as error:
        return ignored(error.message, task.id)
    return HookAnswer(what="done", task=task.id, why=f"task {task.id} is {task.state}")


def _stale(said_at: float, command: Command, task: TaskDetails, now: float) -> str:
    """Why a comment cannot have meant this task as it stands: it was sent a second time, or has been under way for long."""
    if not said_at:
        return ""
    if now - said_at > _FRESH_SECONDS:
        return f"it was said {(now - said_at) / 60:,.0f} minutes ago: say it again"
    if said_at + _CLOCK_SECONDS < task.created_at:
        return f"it was said before task {task.id} was there"
    ended = max((run.ended_at or 0.0 for run in task.run_history), default=0.0)
    if command.verb in {"answer", "retry"} and said_at + _CLOCK_SECONDS < ended:
        return f"it was said before task {task.id} {'asked' if command.verb == 'answer' else 'ended'}"
    return ""


def _control(command: Command, told: Told, key: str) -> Control:
    why = f"{told.actor or 'somebody'} said so in {subject_name(told)}"
    why = f"{why}: {line(command.text)}" if command.text else why
    match command.verb:
        case "answer":
            return Answer(command.text)
        case "steer":
            return Say(command.text, "steering", key)
        case "cancel":
            return Cancel(why)
        case "pause":
            return Pause(why)
        case "resume":
            return Resume()
        case "retry":
            return Retry()
        case "run" | "status":
            raise AssertionError(f"{command.verb} controls nothing")
        case _:
            assert_never(command.verb)
