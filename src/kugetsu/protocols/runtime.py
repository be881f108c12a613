"""The seam to whoever runs the loop of a shadow."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

import msgspec

from kugetsu.events import EventSink
from kugetsu.messages import Usage
from kugetsu.protocols.commands import Commands
from kugetsu.protocols.journal import Journal
from kugetsu.protocols.store import Reserved
from kugetsu.protocols.tool import Memory
from kugetsu.sessions import Session
from kugetsu.tasks import Note, Outcome, Spent, Task

Reserve: TypeAlias = Callable[[Spent, Spent], Awaitable[Reserved | None]]
"""Called with the least and the most that the next model call may use up; says what was set aside, see `Runs.reserve`.

None: nothing bounds it. Raises `LimitReachedError` when there is not enough, and will not be before another day.
"""


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """The place a shadow gives its runtime to work in.

    Attributes:
        task: what is to be done.
        session: what was said so far; the runtime goes on with it, and with a turn that is open.
        root: the worktree.
        directory: the part of it that the task is about: the root or a directory in it.
        scratch: a private directory outside the worktree.
        environment: the whole environment of commands.
        facts: sentences about the workspace for the system prompt.
        journal: where the conversation is written before anything depends on it.
        snapshot: keeps the worktree as it is after a turn, and gives the id of what it kept.
        publish: takes events.
        reserve: sets aside what the next model call may use up, see `Reserve`.
        commands: gives room to commands.
        memory: what the session holds.
    """

    task: Task
    session: Session
    root: Path
    directory: Path
    scratch: Path
    environment: dict[str, str]
    facts: tuple[str, ...]
    journal: Journal
    snapshot: Callable[[int], Awaitable[str]]
    publish: EventSink
    reserve: Reserve
    commands: Commands
    memory: Memory


class Runtime(Protocol):
    """Runs the loop of one shadow: `native` (our own), later others."""

    @property
    def name(self) -> str:
        """For people and records."""
        ...

    async def run(self, seat: Seat) -> Outcome:
        """Work on the task until it ends, fails, hits a limit, asks a question or is told to pause. Called once.

        Never raises for what a model, a tool or a limit does: that is the outcome. When cancelled it ends what it
        started, leaves the session as it stands, and re-raises; `close_turn` or a later run goes on from there.

        Raises:
            LeaseLostError: another run may go on with the task.
            RecordError: the session could not be written; it stands as it was.
        """
        ...

    async def close_turn(self) -> None:
        """After a run that was cut: keep what had arrived of the reply, and answer the calls of the open turn.

        For a task that is over; a run that will be continued is left as it is.

        Raises:
            LeaseLostError, RecordError: it could not be written.
        """
        ...

    @property
    def unheard(self) -> Sequence[str]:
        """What was said to it too late."""
        ...

    @property
    def unbooked(self) -> Usage:
        """What a model call that was cut may have cost, and the session does not say."""
        ...

    def pause(self) -> None:
        """End the run, with the outcome `paused`, as soon as the open turn is closed. Never raises."""
        ...

    def hear(self, notes: Sequence[Note]) -> None:
        """Take what users say; each note once, however often it is given. Never raises."""
        ...

    def steer(self, text: str) -> None:
        """Say something to the model as soon as the running tool batch is done. Never raises."""
        ...

    def follow_up(self, text: str) -> None:
        """Say something when the model would otherwise stop. Never raises."""
        ...
