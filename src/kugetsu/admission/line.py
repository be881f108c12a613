"""Who waits for room: first come, first served, but each task in its turn."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator


class Waiter:
    """One command that waits.

    Attributes:
        task: whose.
        since: seconds of the monotonic clock.
        told: when it was last said why it waits, likewise.
        on_wait: who is told.
        turn: done when it may run.
    """

    __slots__ = ("on_wait", "since", "task", "told", "turn")

    def __init__(self, task: str, since: float, on_wait: Callable[[str], None] | None) -> None:
        self.task = task
        self.since = self.told = since
        self.on_wait = on_wait
        self.turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Line:
    """A line of waiters. A task with many commands in it comes to its next turn after all other tasks."""

    def __init__(self) -> None:
        self._tasks: OrderedDict[str, dict[Waiter, None]] = OrderedDict()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Waiter]:
        return (waiter for waiters in self._tasks.values() for waiter in waiters)

    def join(self, waiter: Waiter) -> None:
        """Stand at the end."""
        self._tasks.setdefault(waiter.task, {})[waiter] = None
        self._length += 1

    def take(self) -> Waiter:
        """Take out the next one; there must be some."""
        task, waiters = next(iter(self._tasks.items()))
        waiter = next(iter(waiters))
        self.leave(waiter)
        if task in self._tasks:
            self._tasks.move_to_end(task)
        return waiter

    def leave(self, waiter: Waiter) -> None:
        """Wait no longer. May be called twice."""
        waiters = self._tasks.get(waiter.task)
        if waiters is None or waiter not in waiters:
            return
        del waiters[waiter]
        self._length -= 1
        if not waiters:
            del self._tasks[waiter.task]
