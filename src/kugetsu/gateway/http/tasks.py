"""What is asked for under `/v1/tasks`."""

from urllib.parse import quote

import msgspec

from kugetsu.app.service import bounded, bounded_limits
from kugetsu.errors import UsageError
from kugetsu.gateway.http.calls import Answer, Call, as_json
from kugetsu.gateway.http.forms import (
    AnswerText,
    CancelReason,
    NewPriority,
    Nothing,
    PauseReason,
    ResumeForm,
    SessionLog,
    Steer,
    TaskQuery,
)
from kugetsu.gateway.http.problems import Header, Refusal
from kugetsu.gateway.repositories import named_elsewhere
from kugetsu.protocols import NewTask
from kugetsu.tasks import Answer as Reply
from kugetsu.tasks import Cancel, Control, Pause, Prioritise, Retry, Say


async def submit(call: Call, new: NewTask) -> Answer:
    """Put a task into the queue."""
    if key := _key(call):
        if new.key not in {"", key}:
            raise UsageError("the header `Idempotency-Key` and `key` are different", fix="give one of them")
        new = msgspec.structs.replace(new, key=key)
    new = msgspec.structs.replace(new, repo=named_elsewhere(new.repo))
    if not call.is_admin:
        new = bounded(new, call.parts.settings)
    accepted = await call.parts.service.submit(new)
    where = Header(b"location", f"/v1/tasks/{quote(accepted.task.id, safe='')}".encode())
    return as_json(accepted.task, 202 if accepted.created else 200, (where,))


async def list_tasks(call: Call, query: TaskQuery) -> Answer:
    """Tasks, newest first."""
    return as_json(await call.parts.service.list(states=query.state, most=query.limit, before=query.cursor))


async def show(call: Call, _query: Nothing) -> Answer:
    """Everything that is known of a task."""
    return as_json(await call.parts.service.show(call.named))


async def session(call: Call, _query: Nothing) -> Answer:
    """The log of a task's conversation."""
    return as_json(SessionLog(tuple(await call.parts.service.session(call.named))))


async def diff(call: Call, _query: Nothing) -> Answer:
    """What a task changed."""
    return as_json(await call.parts.service.diff(call.named))


async def steer(call: Call, form: Steer) -> Answer:
    """Say something to the model."""
    return await _control(call, Say(form.text, "follow_up" if form.follow_up else "steering", form.key))


async def answer(call: Call, form: AnswerText) -> Answer:
    """Answer the task's question."""
    return await _control(call, Reply(form.text))


async def pause(call: Call, form: PauseReason) -> Answer:
    """Let a task rest."""
    return await _control(call, Pause(form.reason))


async def resume(call: Call, form: ResumeForm) -> Answer:
    """Let a task go on."""
    named = ((name, getattr(form.limits, name)) for name in form.limits.__struct_fields__)
    limits = {name: value for name, value in named if value is not None}
    if limits and not call.is_admin:
        limits = bounded_limits(limits, call.parts.limits)
    return as_json(await call.parts.service.resume(call.named, limits))


async def cancel(call: Call, form: CancelReason) -> Answer:
    """End a task."""
    return await _control(call, Cancel(form.reason))


async def retry(call: Call, _form: Nothing) -> Answer:
    """Try a task again."""
    return await _control(call, Retry())


async def prioritise(call: Call, form: NewPriority) -> Answer:
    """Give a task another place in the queue."""
    return await _control(call, Prioritise(form.priority))


async def _control(call: Call, control: Control) -> Answer:
    return as_json(await call.parts.service.control(call.named, control))


def _key(call: Call) -> str:
    """The submitter's own name for a task, from the header.

    Raises:
        Refusal: `bad-request`: it is no text.
    """
    try:
        return call.headers.get("idempotency-key", "").encode("latin-1").decode().strip()
    except UnicodeError:
        raise Refusal("bad-request", "the header `Idempotency-Key` is no UTF-8") from None
