"""What the plugin needs of Kugetsu, whichever way it is reached."""

from typing import Any, Protocol, TypeAlias

Json: TypeAlias = dict[str, Any]
"""A task or another answer, as Kugetsu writes it."""


class Tasks(Protocol):
    """What users do with tasks. Every method may raise `Trouble`, and takes no longer than some seconds."""

    def available(self) -> bool:
        """Whether it can be reached now. Fast; never raises."""
        ...

    def submit(self, new: Json) -> tuple[Json, bool]:
        """Put a task into the queue; it, and whether it is new. With a `key` it may be called twice."""
        ...

    def show(self, task: str) -> Json:
        """Everything that is known of a task."""
        ...

    def newest(self, states: tuple[str, ...], most: int) -> list[Json]:
        """Tasks, newest first, of these states or of all."""
        ...

    def control(self, task: str, verb: str, body: Json) -> Json:
        """Do what a user asks for: steer, answer, pause, resume, cancel or retry."""
        ...

    def diff(self, task: str) -> str:
        """What a task changed, as a patch."""
        ...
