"""Tasks on a server, for programs with an event loop."""

import secrets
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from kugetsu.client.addresses import Finder, Fixed, Local
from kugetsu.client.following import Follower
from kugetsu.client.requests import TASKS, Query, control_request, get, path_of, post, resume_request
from kugetsu.client.transport import Request, Transport, as_kind
from kugetsu.errors import UsageError
from kugetsu.events import Event
from kugetsu.protocols import (
    MADE_UP_KEY,
    Accepted,
    Delivery,
    DeliveryState,
    NewTask,
    NumberedEvent,
    ShadowInfo,
    Stats,
    TaskDetails,
    TaskDiff,
    TaskPage,
)
from kugetsu.sessions import LogLine
from kugetsu.tasks import Control, Say, TaskReport, TaskState

TIMEOUT_SECONDS: Final = 45.0
"""How long an answer may take unless something else is said; longer than the server waits for its own store."""

PATIENCE_SECONDS: Final = 300.0
"""How long a follower waits for a server that is gone."""

_PAGE: Final = 500
_RANDOM_BYTES: Final = 16


class _Session(msgspec.Struct, frozen=True):
    entries: list[LogLine]


class _Shadows(msgspec.Struct, frozen=True):
    shadows: list[ShadowInfo]


class _Deliveries(msgspec.Struct, frozen=True):
    deliveries: list[Delivery]


class AsyncClient:
    """Tasks on a server, over HTTP. Implements `protocols.TaskService`; an async context manager, for one event loop.

    ```python
    from kugetsu.client import AsyncClient
    from kugetsu.protocols import NewTask

    async with AsyncClient("http://127.0.0.1:8787", token) as kugetsu:
        accepted = await kugetsu.submit(NewTask(prompt="Fix the failing test", repo="/src/project"))
        async for event in kugetsu.events(accepted.task.id, follow=True):
            print(event)
        print((await kugetsu.show(accepted.task.id)).state)
    ```

    Whatever the server refuses is the error that the same would raise on this machine; `ServerError` when it does not
    answer, `AccessError` when it does not let the caller. A request that did not get through is sent again where that is
    safe; redirects are not followed.

    Args:
        url: of the server, as `http://127.0.0.1:8787`.
        token: as `kugetsu token add` gave it; empty for none. It is in no error and in no `repr`.
        timeout: seconds for an answer.
        patience: how long `events` and `feed`, once begun, wait for a server that is gone, in seconds.

    Raises:
        UsageError: the address or the token cannot be one.
    """

    def __init__(
        self,
        url: str,
        token: str = "",
        *,
        timeout: float = TIMEOUT_SECONDS,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._begin(Fixed(url, token), timeout, patience)

    @classmethod
    def local(
        cls, home: Path | None = None, *, timeout: float = TIMEOUT_SECONDS, patience: float = PATIENCE_SECONDS
    ) -> Self:
        """A client of the server that works on a state directory of this machine; it is found again after a restart.

        Args:
            home: the state directory; None for that of this user.
            timeout, patience: see the class.

        Raises:
            ServerError: none runs there, or it does not listen.
            RecordError: its lock cannot be read.
        """
        client = cls.__new__(cls)
        client._begin(Local(home), timeout, patience)  # noqa: SLF001 - another way to make one
        return client

    def _begin(self, finder: Finder, seconds: float, patience: float) -> None:
        if not seconds > 0:
            raise UsageError(f"`timeout` must be above 0 seconds, got {seconds:g}")
        self._transport = Transport(finder, seconds)
        self._patience = patience

    def __repr__(self) -> str:
        """Shows no token."""
        return f"{type(self).__name__}({self.url!r})"

    @property
    def url(self) -> str:
        """Where the server is, as far as is known."""
        return self._transport.url

    async def __aenter__(self) -> Self:
        """Nothing is sent yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close all connections."""
        await self.close()

    async def close(self) -> None:
        """Close all connections. May be called twice."""
        await self._transport.close()

    async def submit(self, new: NewTask) -> Accepted:
        """Put a task into the queue; see `protocols.TaskService`.

        Without a key one is made up, so that a submission whose answer was lost can be repeated and is one task.
        """
        keyed = new if new.key else msgspec.structs.replace(new, key=_made_up())
        status, body = await self._transport.ask(post(TASKS, keyed, repeatable=True))
        return Accepted(as_kind(body, TaskDetails, self.url), created=not new.key or status != HTTPStatus.OK)

    async def show(self, task: str) -> TaskDetails:
        """Everything that is known of a task, as it is now."""
        return await self._details(get(path_of(task)))

    async def list(self, *, states: Collection[TaskState] = (), most: int = 50, before: int = 0) -> TaskPage:
        """Tasks, newest first; see `protocols.TaskService`."""
        found, following = list[TaskReport](), before
        while len(found) < most:
            query: Query = {"state": states, "limit": min(most - len(found), _PAGE), "cursor": following}
            page: TaskPage = await self._ask(get(TASKS, query), TaskPage)
            found += page.tasks
            following = page.next
            if not (page.next and page.tasks):
                break
        return TaskPage(tuple(found), following)

    async def control(self, task: str, control: Control) -> TaskDetails:
        """Do what a user asks for; see `protocols.TaskService`."""
        if isinstance(control, Say) and not control.key:
            control = msgspec.structs.replace(control, key=_made_up())
        return await self._details(control_request(task, control))

    async def resume(self, task: str, limits: dict[str, float]) -> TaskDetails:
        """Let a task go on, with some of its limits changed; see `protocols.TaskService`."""
        return await self._details(resume_request(task, limits))

    async def events(self, task: str, *, after: int = 0, follow: bool = False) -> AsyncGenerator[Event, None]:
        """What happened in a task, oldest first, each once, also when the connection breaks or the server starts again.

        Args:
            task: which.
            after: the number of the last event that is known already.
            follow: go on with what happens, until the task is over or halts.
        """
        request = get(path_of(task, "/events"), {"follow": "true" if follow else "false"})
        async with aclosing(Follower(self._transport, request, after, self._patience).events()) as heard:
            async for _, event in heard:
                yield event

    async def feed(self, *, after: int | None = None) -> AsyncGenerator[NumberedEvent, None]:
        """What happens in all tasks, without an end; each event once, as for `events`.

        Args:
            after: the number of the last event that is known already; None to begin with what happens from now on.
        """
        follower = Follower(self._transport, get("/v1/events"), after, self._patience)
        async with aclosing(follower.events()) as heard:
            async for number, event in heard:
                yield NumberedEvent(number, event)

    async def session(self, task: str) -> Sequence[LogLine]:
        """The log of a task's conversation, oldest first."""
        session: _Session = await self._ask(get(path_of(task, "/session")), _Session)
        return session.entries

    async def diff(self, task: str) -> TaskDiff:
        """What a task changed; see `protocols.TaskService`."""
        diff: TaskDiff = await self._ask(get(path_of(task, "/diff")), TaskDiff)
        return diff

    async def shadows(self) -> Sequence[ShadowInfo]:
        """Which shadows live in the server."""
        found: _Shadows = await self._ask(get("/v1/shadows"), _Shadows)
        return found.shadows

    async def stats(self) -> Stats:
        """How things stand."""
        stats: Stats = await self._ask(get("/v1/stats"), Stats)
        return stats

    async def deliveries(
        self, *, states: Collection[DeliveryState] = (), most: int = 50, before: int = 0
    ) -> Sequence[Delivery]:
        """News that go out, newest first; see `protocols.TaskService`."""
        found = list[Delivery]()
        while len(found) < most:
            wanted = min(most - len(found), _PAGE)
            query: Query = {"state": states, "limit": wanted, "before": found[-1].id if found else before}
            page: _Deliveries = await self._ask(get("/v1/deliveries", query), _Deliveries)
            found += page.deliveries
            if len(page.deliveries) < wanted:
                break
        return found

    async def retry_deliveries(self, ids: Collection[int] = ()) -> Sequence[Delivery]:
        """Try news again: those named, or all that expired or were refused."""
        request = post("/v1/deliveries/retry", {"ids": [*ids]}, repeatable=True)
        found: _Deliveries = await self._ask(request, _Deliveries)
        return found.deliveries

    async def _details(self, request: Request) -> TaskDetails:
        details: TaskDetails = await self._ask(request, TaskDetails)
        return details

    async def _ask(self, request: Request, kind: Any) -> Any:  # noqa: ANN401 - whatever the kind is
        _, body = await self._transport.ask(request)
        return as_kind(body, kind, self.url)


def _made_up() -> str:
    return f"{MADE_UP_KEY}{secrets.token_hex(_RANDOM_BYTES)}"
