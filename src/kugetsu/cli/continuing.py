"""Letting a task go on, however it stands."""

import hashlib
from collections.abc import Mapping

from kugetsu.cli.asking import Asked
from kugetsu.cli.service import Reached, named_server, reach
from kugetsu.cli.submitting import new_task
from kugetsu.config import Settings
from kugetsu.errors import StateConflictError, TaskNotFoundError
from kugetsu.protocols import Accepted, TaskDetails, TaskService
from kugetsu.sessions import read_session
from kugetsu.tasks import Answer, Retry, Say, parse_subject


async def go_on(
    name: str, text: str | None, changes: Mapping[str, float], asked: Asked, server: str, settings: Settings
) -> TaskDetails | Accepted:
    """Let a task go on, or begin one: about an issue that has none, or where a completed one ended.

    Args:
        name: of the task.
        text: what its agent is told; None for nothing.
        changes: limits that it has from now on, by name.
        asked: how a task that is begun is to be; about the issue of that name.
        server: the one that the user names, empty for none.
        settings: those of this user.

    Raises:
        TaskNotFoundError: there is none, and no message or no issue that one could be begun with.
        StateConflictError: it makes no sense in the task's state.
    """
    async with reach(server, settings=settings, writing=True) as reached:
        try:
            task = await reached.service.show(name)
        except TaskNotFoundError:
            if text is None or parse_subject(name) is None:
                raise
            new, _ = new_task(asked, text, server)
            return await reached.service.submit(new)
        if task.state != "completed":
            return await _go_on(reached.service, task, text, dict(changes))
        if text is None:
            return task
        return await _fork(reached, task, text, server, settings)


async def _go_on(tasks: TaskService, task: TaskDetails, text: str | None, changes: dict[str, float]) -> TaskDetails:
    if task.state in {"failed", "cancelled"}:
        task = await tasks.control(task.id, Retry())
    if text is not None and task.question:
        task = await tasks.control(task.id, Answer(text))
    elif text is not None and not (text == task.prompt and task.runs <= 1):  # it was just begun with these words
        task = await tasks.control(task.id, Say(text, key=_key(task.runs, text)))
    rests = task.state == "paused" or (task.state == "waiting" and not task.question) or task.wanted == "pause"
    return await tasks.resume(task.id, changes) if changes or (rests and not task.question) else task


async def _fork(reached: Reached, task: TaskDetails, text: str, server: str, settings: Settings) -> Accepted:
    """Begin another task where a completed one ended."""
    if not reached.ours:
        raise StateConflictError(
            f"task {task.id} is completed",
            fix=f"`kugetsu submit --server {named_server(server)} --repo {task.repo} --base {task.branch} MSG` "
            "begins another one on its branch",
        )
    from kugetsu.cli.commands.rewind import enqueue_fork  # noqa: PLC0415 - heavy; seldom needed

    turns = read_session(await reached.service.session(task.id)).turns()
    return await enqueue_fork(settings, task.id, max(turns, default=0), text, key=_key(task.id, text))


def _key(what: object, text: str) -> str:
    """A name for words, so that they are heard once however often they are said."""
    return f"continue:{what}:{hashlib.sha256(text.encode()).hexdigest()[:16]}"
