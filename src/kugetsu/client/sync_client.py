"""Tasks on a server, for programs without an event loop."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Coroutine, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from kugetsu.client.async_client import PATIENCE_SECONDS, TIMEOUT_SECONDS, AsyncClient
from kugetsu.errors import UsageError
from kugetsu.events import Event
from kugetsu.protocols import (
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
from kugetsu.tasks import Control, TaskState

T = TypeVar("T")


class Client:
    """Tasks on a server, over HTTP, without `await`: every method is that of `AsyncClient`, iterators are plain ones.

    ```python
    from kugetsu.client import Client
    from kugetsu.protocols import NewTask

    with Client.local() as kugetsu:  # or Client("https://kugetsu.example.org", token)
        task = kugetsu.submit(NewTask(prompt="Fix the failing test", repo="/src/project")).task
        for event in kugetsu.events(task.id, follow=True):
            print(event)
        print(kugetsu.show(task.id).state)
    ```

    For one thread at a time; not for use inside an event loop, where `AsyncClient` is at home.

    Args:
        url, token, timeout, patience: see `AsyncClient`.

    Raises:
        UsageError: the address or the token cannot be one.
    """

    def __init__(
        self, url: str, token: str = "", *, timeout: float = TIMEOUT_SECONDS, patience: float = PATIENCE_SECONDS
    ) -> None:
        self._begin(AsyncClient(url, token, timeout=timeout, patience=patience))

    @classmethod
    def local(
        cls, home: Path | None = None, *, timeout: float = TIMEOUT_SECONDS, patience: float = PATIENCE_SECONDS
    ) -> Self:
        """A client of the server that works on a state directory of this machine; see `AsyncClient.local`."""
        client = cls.__new__(cls)
        client._begin(AsyncClient.local(home, timeout=timeout, patience=patience))  # noqa: SLF001 - as there
        return client

    def _begin(self, client: AsyncClient) -> None:
        self._client = client
        self._runner: asyncio.Runner | None = None

    def __repr__(self) -> str:
        """Shows no token."""
        return f"{type(self).__name__}({self.url!r})"

    @property
    def url(self) -> str:
        """Where the server is, as far as is known."""
        return self._client.url

    def __enter__(self) -> Self:
        """Nothing is sent yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close all connections."""
        self.close()

    def close(self) -> None:
        """Close all connections. May be called twice."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            try:
                runner.run(self._client.close())
            finally:
                runner.close()

    def submit(self, new: NewTask) -> Accepted:
        """Put a task into the queue."""
        return self._run(self._client.submit(new))

    def show(self, task: str) -> TaskDetails:
        """Everything that is known of a task, as it is now."""
        return self._run(self._client.show(task))

    def list(self, *, states: Collection[TaskState] = (), most: int = 50, before: int = 0) -> TaskPage:
        """Tasks, newest first."""
        return self._run(self._client.list(states=states, most=most, before=before))

    def control(self, task: str, control: Control) -> TaskDetails:
        """Do what a user asks for."""
        return self._run(self._client.control(task, control))

    def resume(self, task: str, limits: dict[str, float]) -> TaskDetails:
        """Let a task go on, with some of its limits changed."""
        return self._run(self._client.resume(task, limits))

    def events(self, task: str, *, after: int = 0, follow: bool = False) -> Iterator[Event]:
        """What happened in a task, oldest first."""
        return self._iterate(self._client.events(task, after=after, follow=follow))

    def feed(self, *, after: int | None = None) -> Iterator[NumberedEvent]:
        """What happens in all tasks, without an end."""
        return self._iterate(self._client.feed(after=after))

    def session(self, task: str) -> Sequence[LogLine]:
        """The log of a task's conversation, oldest first."""
        return self._run(self._client.session(task))

    def diff(self, task: str) -> TaskDiff:
        """What a task changed."""
        return self._run(self._client.diff(task))

    def shadows(self) -> Sequence[ShadowInfo]:
        """Which shadows live in the server."""
        return self._run(self._client.shadows())

    def stats(self) -> Stats:
        """How things stand."""
        return self._run(self._client.stats())

    def deliveries(
        self, *, states: Collection[DeliveryState] = (), most: int = 50, before: int = 0
    ) -> Sequence[Delivery]:
        """News that go out, newest first."""
        return self._run(self._client.deliveries(states=states, most=most, before=before))

    def retry_deliveries(self, ids: Collection[int] = ()) -> Sequence[Delivery]:
        """Try news again: those named, or all that expired or were refused."""
        return self._run(self._client.retry_deliveries(ids))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do a piece of work to its end.

        Raises:
            UsageError: there is an event loop already.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            work.close()
            raise UsageError("Client cannot be used inside an event loop", fix="use AsyncClient there")
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(work)

    def _iterate(self, events: AsyncGenerator[T, None]) -> Iterator[T]:
        async def following() -> tuple[T, ...]:
            async for event in events:
                return (event,)
            return ()

        try:
            while found := self._run(following()):
                yield found[0]
        finally:
            if self._runner is not None:  # else everything is closed
                self._run(_close(events))


async def _close(events: AsyncGenerator[Any, None]) -> None:
    await events.aclose()
