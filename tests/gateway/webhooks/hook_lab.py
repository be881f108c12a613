"""Sources that sign, and a desk of webhooks on a real store with real git."""

import hashlib
import hmac
import json
import time
from typing import Any, cast

from kugetsu.app.house import House
from kugetsu.app.service import LocalTasks
from kugetsu.config import Settings
from kugetsu.gateway.webhooks import HookAnswer, Webhooks
from kugetsu.protocols import SystemClock, TaskDetails, TaskService
from kugetsu.tasks import TaskReport

SECRET = "a-secret-of-more-than-16-characters"
HEADERS = {"content-type": "application/json"}


def mac(content: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()


def hub_headers(body: bytes, event: str = "", secret: str = SECRET) -> dict[str, str]:
    called = {"x-github-event": event} if event else {}
    return {**HEADERS, **called, "x-hub-signature-256": f"sha256={mac(body, secret)}"}


def gitea_headers(body: bytes, event: str = "", secret: str = SECRET) -> dict[str, str]:
    called = {"x-gitea-event": event, "x-forgejo-event": event} if event else {}
    return {**hub_headers(body, event, secret), **called, "x-gitea-signature": mac(body, secret)}


def generic_headers(body: bytes, at: float, secret: str = SECRET) -> dict[str, str]:
    stamp = str(int(at))
    signature = mac(stamp.encode() + b"." + body, secret)
    return {**HEADERS, "x-webhook-timestamp": stamp, "x-webhook-signature-v2": signature}


def encoded(body: Any) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()


class Untouchable:
    """A service that must not be called."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the service was asked to {name}")


def untouchable() -> TaskService:
    return cast("TaskService", Untouchable())


class Lines:
    """A log that only keeps what was said."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str, dict[str, Any]]] = []

    def say(self, event: str, sentence: str, *, level: str = "info", **fields: Any) -> None:
        self.said.append((level, sentence, {"event": event, **fields}))

    @property
    def text(self) -> str:
        return "\n".join(repr(entry) for entry in self.said)


class HookLab:
    """Somebody who tells things to a house."""

    def __init__(self, house: House, settings: Settings) -> None:
        self.house = house
        self.tasks = LocalTasks(house)
        self.log = Lines()
        self.settings = settings
        self.restart()

    def restart(self) -> None:
        """As after a restart of the server: what was only remembered is gone."""
        self.hooks = Webhooks(self.tasks, self.settings, {}, SystemClock(), self.log.say)

    async def github(self, body: Any, event: str = "") -> HookAnswer:
        content = encoded(body)
        return await self.hooks.take("hub", hub_headers(content, event), content, "192.0.2.1")

    async def gitea(self, body: Any, event: str = "") -> HookAnswer:
        content = encoded(body)
        return await self.hooks.take("forge", gitea_headers(content, event), content, "192.0.2.1")

    async def generic(self, body: Any, at: float | None = None) -> HookAnswer:
        content = encoded(body)
        headers = generic_headers(content, time.time() if at is None else at)
        return await self.hooks.take("door", headers, content, "192.0.2.1")

    async def all(self) -> list[TaskReport]:
        return list((await self.tasks.list()).tasks)

    async def one(self) -> TaskDetails:
        [task] = await self.all()
        return await self.tasks.show(task.id)
