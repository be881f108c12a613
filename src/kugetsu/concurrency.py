"""What asyncio leaves to its users: one error out of a group, work that is always finished, whose cancel it is."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


@contextmanager
def first_error() -> Iterator[None]:
    """Around a TaskGroup: raise the first error of its tasks itself, instead of a group of errors."""
    try:
        yield
    except BaseExceptionGroup as group:
        raise _first(group) from None


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def finish(work: Coroutine[Any, Any, T]) -> T:
    """Do a short piece of work to its end, however often the caller is cancelled meanwhile.

    For clean-up, and for git commands of a few milliseconds that would leave a lock behind if they were killed.

    Raises:
        CancelledError: the caller was cancelled; the work has been done all the same.
    """
    cancelled = False
    running = asyncio.ensure_future(work)
    while not running.done():
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            if running.cancelled():  # the loop itself is being closed
                raise
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError from running.exception()
    return running.result()


def being_cancelled() -> bool:
    """Whether somebody asked for the current task to be cancelled; else a `CancelledError` is some future's own."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
