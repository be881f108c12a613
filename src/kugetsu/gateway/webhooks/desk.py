"""Where others tell us things: who they are is proved, what they say is read, and rules decide what becomes of it."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final
from weakref import WeakValueDictionary

from kugetsu.config import Settings, WebhookSettings
from kugetsu.errors import KugetsuError
from kugetsu.gateway.webhooks.answers import HookAnswer, ignored
from kugetsu.gateway.webhooks.commanding import obey
from kugetsu.gateway.webhooks.commands import Command, parse_command
from kugetsu.gateway.webhooks.forges import read_forge
from kugetsu.gateway.webhooks.generic import read_generic
from kugetsu.gateway.webhooks.places import located, subject_name
from kugetsu.gateway.webhooks.problems import problems, secret_of
from kugetsu.gateway.webhooks.prompts import Quoting
from kugetsu.gateway.webhooks.rules import Fit, fitting
from kugetsu.gateway.webhooks.signatures import require_json, require_signed
from kugetsu.gateway.webhooks.starting import identity, start
from kugetsu.gateway.webhooks.told import Nothing, Ping, Told, line
from kugetsu.protocols import Clock, TaskService

_MOST_REMEMBERED: Final = 10_000
"""Commands that are known to have been carried out."""

_NOBODY: Final = WebhookSettings()


class Webhooks:
    """Takes what sources tell. Nothing is looked at before its signature is found right.

    Args:
        service: what is done with tasks.
        settings: `webhooks` and `projects`.
        environ: where secrets are that the settings only name.
        clock: time.
        say: writes a line into the log, see `logs.Log.say`.
    """

    def __init__(
        self,
        service: TaskService,
        settings: Settings,
        environ: Mapping[str, str],
        clock: Clock,
        say: Callable[..., None],
    ) -> None:
        self._service = service
        self._settings = settings
        self._environ = environ
        self._clock = clock
        self._say = say
        self._secrets = {name: secret_of(source, environ) for name, source in settings.webhooks.items()}
        self._lines: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._obeyed: OrderedDict[str, None] = OrderedDict()

    def problems(self) -> list[str]:
        """What in the settings keeps sources from being heard; one sentence each."""
        return problems(self._settings, self._environ)

    async def take(self, source: str, headers: Mapping[str, str], body: bytes, client: str) -> HookAnswer:
        """Hear what somebody says. May be called twice with the same: nothing is done twice.

        Args:
            source: the name in the address.
            headers: names in small letters.
            body: as it came.
            client: who called, for the log.

        Raises:
            AccessError: there is no such source, or the signature is not right; nothing tells which.
            UsageError: the body cannot be read; or the task that it asks for cannot be so.
            QueueFullError: there is no room; says how long to wait.
            RecordError, ServerError: the service cannot be used.
        """
        try:
            answer = await self._take(source, headers, body)
        except KugetsuError as error:
            self._say(
                "webhook_refused",
                f"webhook {line(source, 64)} from {line(client, 64)}: {line(str(error), 500)}",
                level="warning",
                source=line(source, 64),
                client=line(client, 64),
            )
            raise
        self._tell(source, answer)
        return answer

    async def _take(self, name: str, headers: Mapping[str, str], body: bytes) -> HookAnswer:
        require_json(headers)
        source = self._settings.webhooks.get(name, _NOBODY)
        signed = require_signed(
            source.kind,
            self._secrets.get(name, b""),
            headers,
            body,
            tolerance=source.tolerance_seconds,
            now=self._clock.now(),
        )
        told = read_generic(body) if source.kind == "generic" else read_forge(headers, body)
        match told:
            case Ping():
                return HookAnswer(what="pong", why=f"{name} is heard")
            case Nothing():
                return ignored(told.why)
            case _:
                return await self._hear(name, source, told, signed)

    async def _hear(self, name: str, source: WebhookSettings, told: Told, signed: bytes) -> HookAnswer:
        here = located(told, source, self._settings)
        if isinstance(here, Nothing):
            return ignored(here.why)
        if told.ours or told.actor.casefold() in {account.casefold() for account in source.ignore}:
            return ignored("agents do not answer what agents write")
        wanted = Command("run", here.text)
        if here.event in {"comment", "review_comment"}:
            command = parse_command(here.text)
            if isinstance(command, Nothing):
                return ignored(command.why)
            wanted = command
        fit = fitting(source.rules, here, here.origin)
        if isinstance(fit, Nothing):
            return ignored(fit.why)
        key = identity(name, here, fit.label, signed)
        # What is about the same comes one after the other, so that each sees what became of the one before.
        async with self._lines.setdefault(subject_name(here) or key, asyncio.Lock()):
            return await self._do(source, here, fit, wanted, key, Quoting(self._secrets[name]))

    async def _do(
        self, source: WebhookSettings, told: Told, fit: Fit, wanted: Command, key: str, quoting: Quoting
    ) -> HookAnswer:
        if wanted.verb == "run":
            return await start(
                self._service,
                told,
                fit,
                wanted.text,
                key=key,
                source=source,
                projects=self._settings.projects,
                quoting=quoting,
            )
        if key in self._obeyed:
            return HookAnswer(what="duplicate", why="that was heard before")
        answer = await obey(self._service, told, wanted, key=key, now=self._clock.now())
        if answer.what == "done":
            self._obeyed[key] = None
        while len(self._obeyed) > _MOST_REMEMBERED:
            self._obeyed.popitem(last=False)
        return answer

    def _tell(self, source: str, answer: HookAnswer) -> None:
        told = f"{answer.what} {answer.task}".strip()
        self._say(
            "webhook",
            f"webhook {source}: {told}{f' ({line(answer.why)})' if answer.why else ''}",
            level="debug" if answer.what == "ignored" else "info",
            source=source,
            what=answer.what,
            about=answer.task,
        )
