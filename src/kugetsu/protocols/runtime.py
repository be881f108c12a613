"""The seam to whoever runs the loop of a shadow."""

from pathlib import Path
from typing import Protocol

import msgspec

from kugetsu.events import EventSink
from kugetsu.messages import Usage
from kugetsu.protocols.store import Journal
from kugetsu.tasks import Outcome, Task


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """The place a shadow gives its runtime to work in.

    Attributes:
        task: what is to be done.
        root: the worktree.
        directory: the part of it that the task is about: the root or a directory in it.
        scratch: a private directory outside the worktree.
        environment: the whole environment of commands.
        facts: sentences about the workspace for the system prompt.
        journal: where the conversation is written before anything depends on it.
        publish: takes events.
    """

    task: Task
    root: Path
    directory: Path
    scratch: Path
    environment: dict[str, str]
    facts: tuple[str, ...]
    journal: Journal
    publish: EventSink


class Tally(msgspec.Struct):
    """What a run has used so far; true at any moment, also when the run is cut.

    Attributes:
        spent_usd: the money that is known to be spent, also when the price of a part is not.
        last_text: the model's last words.
    """

    turns: int = 0
    tool_calls: int = 0
    usage: Usage = Usage()
    spent_usd: float = 0.0
    last_text: str = ""


class Runtime(Protocol):
    """Runs the loop of one shadow: `native` (our own), later others."""

    @property
    def name(self) -> str:
        """For people and records."""
        ...

    @property
    def tally(self) -> Tally:
        """What has been used so far."""
        ...

    async def run(self, seat: Seat) -> Outcome:
        """Work on the task until it ends, fails or hits a limit. Called once.

        Never raises for what a model, a tool or a limit does: that is the outcome. When cancelled it keeps the partial
        reply, answers every call, ends what it started, and re-raises.
        """
        ...

    def steer(self, text: str) -> None:
        """Say something to the model as soon as the running tool batch is done. Never raises."""
        ...

    def follow_up(self, text: str) -> None:
        """Say something when the model would otherwise stop. Never raises."""
        ...
