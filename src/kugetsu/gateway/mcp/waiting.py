"""Waiting for a task, never for long, and telling whoever asked that it goes on."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final, TypeAlias

from kugetsu.concurrency import first_error
from kugetsu.gateway.mcp.arguments import MOST_WAIT
from kugetsu.gateway.mcp.phrases import phrase
from kugetsu.protocols import TaskDetails, TaskService

Progress: TypeAlias = Callable[[float, float, str], Awaitable[None]]
"""Tells the caller how far a call is: seconds that have passed, seconds that may, and what happens. Never raises."""

_TELL_SECONDS: Final = 1.0
"""How often progress is told."""

_LOOK_SECONDS: Final = 0.5
"""How often it is looked whether a task between two runs has begun the next one."""


MOST_WAITING: Final = 32
"""Calls of all clients of one server that wait at the same time: each looks into the store a few times a second."""


class Places:
    """Where calls may wait. Those for whom there is no place answer at once."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self._free = most
        self._closed = False
        self._waiting: set[asyncio.Timeout] = set()

    def close(self) -> None:
        """Let all who wait answer now, and nobody wait any more. May be called twice."""
        self._closed = True
        for waiting in self._waiting:
            if not waiting.expired():
                waiting.reschedule(0.0)

    @asynccontextmanager
    async def waiting(self, seconds: float) -> AsyncIterator[None]:
        """Do the block for so long at most, and no longer than until `close`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds) as limit:
                self._waiting.add(limit)
                try:
                    yield
                finally:
                    self._waiting.discard(limit)

    @contextmanager
    def one(self) -> Iterator[bool]:
        """Take a place while the block runs; says whether there was one."""
        found = self._free > 0 and not self._closed
        self._free -= found
        try:
            yield found
        finally:
            self._free += found


async def wait_for(
    service: TaskService, task: TaskDetails, seconds: float, progress: Progress, places: Places
) -> TaskDetails:
    """Wait until a task is over or needs somebody, or the time is up; says how it stands then.

    A task that nobody works on is not waited for.

    Args:
        service: where it is.
        task: as it stands now.
        seconds: how long, at most; above `MOST_WAIT` counts as that.
        progress: told once a second what happens.
        places: where it may wait.

    Raises:
        TaskNotFoundError, RecordError, ServerError, AccessError: see `TaskService`.
    """
    seconds = min(seconds, MOST_WAIT)
    if not seconds > 0 or not _goes_on(task):
        return task
    with places.one() as found:
        if not found:
            return task
        news = _News(task.state)
        with first_error():
            async with asyncio.TaskGroup() as group:
                telling = group.create_task(_tell(news, seconds, progress))
                async with places.waiting(seconds):
                    await _follow(service, task, news)
                telling.cancel()
    return await service.show(task.id)


def _goes_on(task: TaskDetails) -> bool:
    """Whether it is worth waiting for."""
    return task.state == "running" or (task.state == "pending" and task.served)


class _News:
    """What is said of a task at the moment."""

    def __init__(self, words: str) -> None:
        self.words = words


async def _follow(service: TaskService, task: TaskDetails, news: _News) -> None:
    """Hear what happens, until nothing does any more."""
    last = 0
    while True:
        async for event in service.events(task.id, after=last, follow=True):
            last = max(last, event.seq)
            news.words = phrase(event) or news.words
        if not _goes_on(await service.show(task.id)):
            return
        await asyncio.sleep(_LOOK_SECONDS)


async def _tell(news: _News, seconds: float, progress: Progress) -> None:
    began = time.monotonic()
    while True:
        await progress(min(time.monotonic() - began, seconds), seconds, news.words)
        await asyncio.sleep(_TELL_SECONDS)
