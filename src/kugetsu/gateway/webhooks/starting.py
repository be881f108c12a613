"""A task is started because of something that was told: once for each thing."""

import hashlib
from collections.abc import Mapping
from typing import Final

from kugetsu.config import ProjectSettings, WebhookSettings
from kugetsu.errors import StateConflictError, TaskNotFoundError
from kugetsu.gateway.webhooks.answers import HookAnswer, ignored
from kugetsu.gateway.webhooks.places import Place, place_of, subject_name
from kugetsu.gateway.webhooks.prompts import Quoting, prompt_for
from kugetsu.gateway.webhooks.rules import Fit
from kugetsu.gateway.webhooks.told import Nothing, Told
from kugetsu.protocols import NewTask, TaskService
from kugetsu.tasks import FINAL_STATES

_UNASKED: Final = frozenset({"issue_opened", "issue_labelled", "check_failed"})
"""What starts nothing while a task about the same is under way: forges tell some of it in several ways at once."""


async def start(
    service: TaskService,
    told: Told,
    fit: Fit,
    text: str,
    *,
    key: str,
    source: WebhookSettings,
    projects: Mapping[str, ProjectSettings],
    quoting: Quoting,
) -> HookAnswer:
    """Start a task, unless it was started before.

    Args:
        service: takes the task.
        told: what was told, with its host.
        fit: the rule.
        text: what follows `/kugetsu`, or what a generic source sends.
        key: names the task.
        source: who told it.
        projects: from the settings.
        quoting: puts the words of others between marks.

    Raises:
        UsageError: the task cannot be so: no such repository, branch or model.
        QueueFullError: there is no room; says how long to wait.
        RecordError, ServerError: the service cannot be used.
    """
    place = place_of(told, fit.rule, source, projects)
    if isinstance(place, Nothing):
        return ignored(place.why)
    subject = subject_name(told)
    if told.event in _UNASKED and (task := await _under_way(service, subject)):
        return HookAnswer(what="duplicate", task=task, why=f"task {task} is about {subject} already")
    new = _new_task(told, fit, place, prompt_for(told, fit.rule, text, fit.label, quoting), subject, key)
    try:
        accepted = await service.submit(new)
    except StateConflictError as error:
        if told.key:
            raise
        return HookAnswer(what="duplicate", why=error.message)
    if not accepted.created:
        return HookAnswer(what="duplicate", task=accepted.task.id, why=f"task {accepted.task.id} was started by it")
    return HookAnswer(status=202, what="started", task=accepted.task.id)


def identity(source: str, told: Told, label: str, signed: bytes) -> str:
    """The key of a task: from what was signed, never from a header that anybody can change.

    A source tells one thing in several ways: a commit that fails is one thing, however many checks say so; and so is a label
    on an issue, where the source does not say which labels are new.
    """
    if told.key:
        return f"webhook:{source}:key:{told.key}"
    if told.event == "check_failed" and told.commit:
        return f"webhook:{source}:{_digest('commit', told.origin, told.repository.lower(), told.commit)}"
    if told.event == "issue_labelled" and told.added is None:
        issue = f"{told.repository.lower()}#{told.number}"
        return f"webhook:{source}:{_digest('label', told.origin, issue, label.casefold())}"
    return f"webhook:{source}:{hashlib.sha256(signed).hexdigest()}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


async def _under_way(service: TaskService, subject: str) -> str:
    """The task about this that is not over; empty for none."""
    if not subject:
        return ""
    try:
        newest = await service.show(subject)
    except TaskNotFoundError:
        return ""
    return "" if newest.state in FINAL_STATES else newest.id


def _new_task(told: Told, fit: Fit, place: Place, prompt: str, subject: str, key: str) -> NewTask:
    rule = fit.rule
    return NewTask(
        prompt=prompt,
        repo=place.repo,
        model=rule.model or place.project.model,
        base=told.branch or (told.commit if told.event == "check_failed" else ""),
        check=rule.check or place.project.check or None,
        priority=min(told.priority, rule.priority) if told.event == "task" else rule.priority,
        subject=subject,
        reply_to=_replies(told, rule.reply_to),
        key=key,
    )


def _replies(told: Told, said: Mapping[str, str]) -> dict[str, str]:
    """Who hears of it: what the rule says counts, and `target` only the rule can name."""
    return {**{name: value for name, value in told.reply_to.items() if name != "target"}, **said}
