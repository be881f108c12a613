"""Records in memory."""

from collections.abc import Iterable, Iterator

from kugetsu.errors import RecordError, TaskNotFoundError
from kugetsu.events import TRANSIENT, Event
from kugetsu.messages import Message
from kugetsu.protocols import Journal
from kugetsu.tasks import Task, TaskReport
from kugetsu.testing.journal import MemoryJournal


class MemoryTaskLog:
    """The record of one task. Implements `protocols.TaskLog`.

    Attributes:
        history: what was recorded.
        report: what was saved last, None before that.
        closed: whether it was closed.
    """

    def __init__(self) -> None:
        self._journal = MemoryJournal()
        self.history: list[Event] = []
        self.report: TaskReport | None = None
        self.closed = False

    @property
    def journal(self) -> Journal:
        """The task's session."""
        return self._journal

    @property
    def messages(self) -> list[Message]:
        """The task's conversation."""
        return self._journal.messages

    def record(self, event: Event) -> None:
        """Keep an event."""
        if not isinstance(event, TRANSIENT):
            self.history.append(event)

    def save(self, report: TaskReport) -> None:
        """Replace the report."""
        self.report = report

    def close(self) -> None:
        """Say that it was closed."""
        self.closed = True


class MemoryStore:
    """All tasks of one test. Implements `protocols.TaskStore`.

    Attributes:
        logs: by task id.
    """

    def __init__(self) -> None:
        self.logs: dict[str, MemoryTaskLog] = {}

    def open(self, task: Task) -> MemoryTaskLog:
        """Begin a record."""
        if task.id in self.logs:
            raise RecordError(f"the task {task.id} has a record already")
        log = self.logs[task.id] = MemoryTaskLog()
        log.save(TaskReport.of(task))
        return log

    def find(self, prefix: str) -> TaskReport:
        """Look up the one task whose id starts so."""
        found = [report for report in self.reports() if report.id.startswith(prefix)]
        if len(found) != 1:
            raise TaskNotFoundError(f"{len(found)} tasks start with {prefix!r}")
        return found[0]

    def reports(self) -> Iterable[TaskReport]:
        """All tasks, newest first."""
        return [log.report for log in reversed(self.logs.values()) if log.report]

    def events(self, task_id: str) -> Iterator[Event]:
        """A task's events."""
        return iter(self._log(task_id).history)

    def session(self, task_id: str) -> Iterator[Message]:
        """A task's conversation."""
        return iter(self._log(task_id).messages)

    def _log(self, task_id: str) -> MemoryTaskLog:
        if task_id not in self.logs:
            raise TaskNotFoundError(f"there is no task {task_id}")
        return self.logs[task_id]
