"""The seams to what is kept: the journal of a conversation, and the records of tasks."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from kugetsu.events import Event
from kugetsu.messages import Message
from kugetsu.tasks import Task, TaskReport


class Journal(Protocol):
    """The append-only log of one session."""

    @property
    def location(self) -> str:
        """Where the log can be read."""
        ...

    async def append(self, *messages: Message) -> None:
        """Write messages at the end; they are kept when it returns.

        Raises:
            RecordError: they could not be written; the run must stop.
        """
        ...


class TaskLog(Protocol):
    """The record of one task while it runs."""

    @property
    def journal(self) -> Journal:
        """The task's session."""
        ...

    def record(self, event: Event) -> None:
        """Keep an event. Never raises and never blocks for long: what could not be written is told by `save`."""
        ...

    def save(self, report: TaskReport) -> None:
        """Replace the task's report, atomically.

        Raises:
            RecordError: it, or an earlier event, could not be written.
        """
        ...

    def close(self) -> None:
        """Release what it holds. May be called twice."""
        ...


class TaskStore(Protocol):
    """All tasks on this machine."""

    def open(self, task: Task) -> TaskLog:
        """Begin the record of a new task.

        Raises:
            RecordError: the id is taken, or nothing can be written.
        """
        ...

    def find(self, prefix: str) -> TaskReport:
        """Look up the one task whose id starts so.

        Raises:
            TaskNotFoundError: there is none, or several.
            RecordError: its record is damaged.
        """
        ...

    def reports(self) -> Iterable[TaskReport]:
        """All tasks, newest first. A damaged record is left out and said by `doctor`."""
        ...

    def events(self, task_id: str) -> Iterator[Event]:
        """A task's events, oldest first. A line cut by a crash ends them.

        Raises:
            TaskNotFoundError: there is no such task.
        """
        ...

    def session(self, task_id: str) -> Iterator[Message]:
        """A task's conversation, oldest first. A line cut by a crash ends it.

        Raises:
            TaskNotFoundError: there is no such task.
        """
        ...
