"""A sample for a target, so that people can see whether news arrive before a task depends on it."""

from collections.abc import Mapping

from kugetsu.config import Settings
from kugetsu.errors import UsageError
from kugetsu.gateway.notifications.answers import Attempt
from kugetsu.gateway.notifications.payload import event_of, payload_of
from kugetsu.gateway.notifications.sending import Sender
from kugetsu.logs import Redactor
from kugetsu.protocols import Change, Clock, Delivery
from kugetsu.tasks import Outcome, Task, TaskReport, new_task_id


async def send_sample(
    target: str, reply_to: Mapping[str, str], settings: Settings, environ: Mapping[str, str], clock: Clock
) -> Attempt:
    """Send a sample to a target once. Nothing is written down.

    Args:
        target: its name.
        reply_to: as a task's.
        settings: who the targets are.
        environ: where secrets come from.
        clock: time.

    Raises:
        UsageError: `reply_to` cannot be so.
    """
    now = clock.now()
    try:
        task = Task(
            id=new_task_id(),
            prompt="kugetsu notify test",
            repo="/sample",
            model="",
            reply_to=dict(reply_to),
            created_at=now,
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
    change = Change(id=0, task=task.id, at=now, state="completed", outcome=Outcome("completed", "a sample, of no task"))
    report = TaskReport(
        id=task.id,
        state="completed",
        prompt=task.prompt,
        model="",
        repo="",
        summary="This is a sample. News arrive here.",
    )
    delivery = Delivery(
        id=0,
        task=task.id,
        target=target,
        event=event_of(change),
        payload=payload_of(change, task, report, Redactor()),
        created_at=now,
        expires_at=now,
    )
    async with Sender(settings, environ, clock) as sender:
        return await sender.send(delivery)
