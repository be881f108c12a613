"""The seam to room for agents' commands: who may run one now, and within which limits."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol


class CommandRoom(Protocol):
    """Room for one command with everything that it starts, held to limits of its own."""

    def wrap(self, argv: Sequence[str | Path]) -> list[str | Path]:
        """The command to start in place of `argv`, so that it and all its children are within the limits from the start."""
        ...

    def entered(self, pid: int) -> None:
        """Told the process id of the command as soon as it runs. Never raises."""
        ...

    async def excess(self) -> str:
        """Which limit the command ran into so far, in words for the model; empty for none. Never raises."""
        ...


class Commands(Protocol):
    """Gives room to commands. Shared by all shadows of a program."""

    def room(self, task: str, on_wait: Callable[[str], None] | None = None) -> AbstractAsyncContextManager[CommandRoom]:
        """Wait until a command of a task may run, first come, first served, and hold the room while the block runs.

        Processes that the command leaves in the background stay within its limits when the block is left.

        Args:
            task: whose.
            on_wait: told why there is no room yet, now and then, when that takes longer than a moment.

        Raises:
            OSError: the machine refused.
        """
        ...

    async def end(self, task: str) -> bool:
        """Kill whatever still runs of a task's commands, however it hides, and forget the task. May be called twice.

        Returns:
            Whether it is certain that nothing is left; else it may be found by other marks.
        """
        ...


class NoLimits:
    """Room without limits. Implements `CommandRoom`."""

    def wrap(self, argv: Sequence[str | Path]) -> list[str | Path]:
        """The command itself."""
        return list(argv)

    def entered(self, pid: int) -> None:
        """Nothing to do."""

    async def excess(self) -> str:
        """There is no limit to run into."""
        return ""


@asynccontextmanager
async def no_limits() -> AsyncIterator[NoLimits]:
    """Room at once, without limits."""
    yield NoLimits()


class Unlimited:
    """Room for all, without limits. Implements `Commands`; for tests and libraries."""

    def room(
        self,
        task: str,  # noqa: ARG002 - the seam's
        on_wait: Callable[[str], None] | None = None,  # noqa: ARG002 - the seam's
    ) -> AbstractAsyncContextManager[NoLimits]:
        """Room at once."""
        return no_limits()

    async def end(self, task: str) -> bool:  # noqa: ARG002 - the seam's
        """Nothing is known of any task."""
        return False
