"""The seam to tools."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Literal, Protocol
from weakref import WeakValueDictionary

import msgspec

from kugetsu.messages import InputContent, Message, Text, ToolResult
from kugetsu.protocols.commands import CommandRoom, no_limits

ToolKind = Literal["read", "write", "run", "sequential", "question"]
"""What a tool does to the workspace, which decides what may run beside it.

The calls of one reply run in source order, except that neighbours of one kind run in parallel: reads with reads, commands
(`run`) with commands, writes with writes (to one file still one after the other). A `sequential` tool runs alone. A
`question` too: it raises `AnswerNeededError`, and the answer becomes its result. Only `read` and `question` may be
repeated after a crash.
"""


class FileLocks:
    """One lock per file, so that two calls never change one file at the same time."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()

    def hold(self, path: Path) -> AbstractAsyncContextManager[None]:
        """Wait for the file and hold it; first come, first served. `path` must be resolved."""
        lock = self._locks.get(path)
        if lock is None:
            lock = self._locks[path] = asyncio.Lock()
        return lock


def _ignore(_text: str) -> None:
    """Take progress nobody wants to see."""


class Memory(Protocol):
    """What a conversation held, also what the model no longer sees of it."""

    async def result(self, call: str) -> ToolResult | None:
        """What a call gave; None when there is no such result.

        Raises:
            RecordError: it cannot be read.
        """
        ...

    async def turn(self, number: int) -> Sequence[Message]:
        """A reply and the results of its calls; empty when there is no such turn.

        Raises:
            RecordError: it cannot be read.
        """
        ...


class NoMemory:
    """Of a conversation that nobody keeps. Implements `Memory`."""

    async def result(self, _call: str) -> ToolResult | None:
        """Nothing."""
        return None

    async def turn(self, _number: int) -> Sequence[Message]:
        """Nothing."""
        return ()


class ToolContext(msgspec.Struct, frozen=True, kw_only=True):
    """Where a call runs.

    Attributes:
        root: the worktree; relative paths start here, and paths are confined to it.
        scratch: a directory of the shadow outside the worktree, for outputs too long to show; readable by its tools.
        environment: the whole environment of commands; holds no key.
        locks: the shadow's file locks.
        images: whether the model takes pictures.
        progress: shows what a running call says; at once, never raises.
        room: gives room to one command of the agent; the call's time limit begins when there is some. Every process that a
            tool starts for longer than a moment runs in one.
        memory: what this conversation held.
    """

    root: Path
    scratch: Path
    environment: Mapping[str, str]
    locks: FileLocks
    images: bool = False
    progress: Callable[[str], None] = _ignore
    room: Callable[[], AbstractAsyncContextManager[CommandRoom]] = no_limits
    memory: Memory = NoMemory()


class ToolOutput(msgspec.Struct, frozen=True):
    """What a call gives back."""

    content: tuple[InputContent, ...]
    is_error: bool = False

    @classmethod
    def of(cls, text: str, *, is_error: bool = False) -> "ToolOutput":
        """Make an output of plain text."""
        return cls((Text(text),), is_error)


class Tool(Protocol):
    """One thing an agent can do. Shared by all shadows; keeps no state of any."""

    @property
    def name(self) -> str:
        """As the model calls it."""
        ...

    @property
    def description(self) -> str:
        """What the model reads about it."""
        ...

    @property
    def arguments(self) -> type[msgspec.Struct]:
        """Struct that arguments are decoded into and checked against; gives the JSON Schema."""
        ...

    @property
    def kind(self) -> ToolKind:
        """What it does to the workspace."""
        ...

    async def run(self, arguments: Any, context: ToolContext) -> ToolOutput:  # noqa: ANN401 - an instance of `arguments`, which differs by tool
        """Do it. Calls of kind `read` may be repeated; all others run at most once.

        When cancelled it ends everything it started, promptly, and re-raises.

        Raises:
            ToolError: it could not be done; the message is for the model.
            AnswerNeededError: a `question` asks the user; its answer becomes the result.
        """
        ...
