"""The record of one task while it runs."""

from pathlib import Path
from typing import Final

from kugetsu.errors import RecordError
from kugetsu.events import TRANSIENT, Event, TaskFinished, TaskStarted, TurnFinished, encode_event
from kugetsu.protocols import Clock
from kugetsu.storage.journal import FileJournal
from kugetsu.storage.lines import LineFile
from kugetsu.storage.reports import write_report
from kugetsu.tasks import TaskReport

EVENTS_NAME: Final = "events.jsonl"
SESSION_NAME: Final = "session.jsonl"

_FLUSHING: Final = (TaskStarted, TurnFinished, TaskFinished)
"""Events after which those that wait are written."""

_MOST_WAITING: Final = 65_536
"""Bytes of events that wait to be written."""

_MOST_KEPT: Final = 1_048_576
"""Bytes of events that are kept for another try when they cannot be written."""


class FileTaskLog:
    """Writes the files of one task. Implements `protocols.TaskLog`."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._directory = directory
        self._journal = FileJournal(directory / SESSION_NAME, clock)
        self._events = LineFile(directory / EVENTS_NAME)
        self._waiting: list[bytes] = []
        self._bytes = 0
        self._trouble: RecordError | None = None
        self._lost = False

    @property
    def journal(self) -> FileJournal:
        """The task's session."""
        return self._journal

    def record(self, event: Event) -> None:
        """Keep an event, unless it is transient. Never raises: see `save`."""
        if isinstance(event, TRANSIENT):
            return
        line = encode_event(event)
        self._waiting.append(line)
        self._bytes += len(line)
        if isinstance(event, _FLUSHING) or self._bytes > _MOST_WAITING:
            self._flush()

    def save(self, report: TaskReport) -> None:
        """Write the events that wait, then replace the task's report.

        Raises:
            RecordError: it, or an earlier event, could not be written. In the second case the report is written.
        """
        self._flush()
        write_report(self._directory, report)
        if self._trouble:
            raise self._trouble

    def close(self) -> None:
        """Write the events that wait. May be called twice."""
        self._flush()

    def _flush(self) -> None:
        if not self._waiting:
            return
        try:
            self._events.append(self._waiting)
        except RecordError as error:
            self._trouble = error
            if self._bytes <= _MOST_KEPT:
                return
            self._lost = True
        else:
            self._trouble = self._trouble if self._lost else None
        self._waiting.clear()
        self._bytes = 0
