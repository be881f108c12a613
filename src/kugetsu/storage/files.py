"""All tasks of this machine: `<home>/tasks/<id>/` with `report.json`, `events.jsonl` and `session.jsonl`."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from kugetsu.errors import RecordError, TaskNotFoundError
from kugetsu.events import Event
from kugetsu.messages import Message
from kugetsu.protocols import Clock, SystemClock
from kugetsu.storage.failures import cannot
from kugetsu.storage.journal import Entry
from kugetsu.storage.lines import read_lines
from kugetsu.storage.reports import read_report, write_report
from kugetsu.storage.task_log import EVENTS_NAME, SESSION_NAME, FileTaskLog
from kugetsu.tasks import Task, TaskReport

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_LIST_FIX: Final = "`kugetsu list` shows all tasks"
_MOST_NAMED: Final = 5

_events: Final[msgspec.json.Decoder[Event]] = msgspec.json.Decoder(Event)
_entries: Final = msgspec.json.Decoder(Entry)


class FileStore:
    """Keeps tasks in files. Implements `protocols.TaskStore`; does nothing until it is asked.

    Several processes may share one home: each task has one writer, and readers never disturb it.
    """

    def __init__(self, home: Path, *, clock: Clock | None = None) -> None:
        self._tasks = home / "tasks"
        self._clock = clock or SystemClock()

    def open(self, task: Task) -> FileTaskLog:
        """Begin the record of a new task; it is pending from now on.

        Raises:
            RecordError: the id is taken or is no id, or nothing can be written.
        """
        if not _ID.fullmatch(task.id):
            raise RecordError(f"{task.id!r} is no task id", fix="use letters, digits, `-` and `_`, at most 64")
        directory = self._tasks / task.id
        _make_directory(self._tasks, exist_ok=True)
        _make_directory(directory)
        try:
            write_report(directory, TaskReport.of(task))
        except BaseException:
            with contextlib.suppress(OSError):
                directory.rmdir()
            raise
        return FileTaskLog(directory, self._clock)

    def find(self, prefix: str) -> TaskReport:
        """Look up a task by its id, or by the beginning of it when no other id begins so.

        Raises:
            TaskNotFoundError: there is none, or several.
            RecordError: its record is damaged.
        """
        ids = self._ids()
        found = [prefix] if prefix in ids else sorted(name for name in ids if prefix and name.startswith(prefix))
        if not found:
            raise TaskNotFoundError(f'no task starts with "{_plain(prefix)}"', fix=_LIST_FIX)
        if len(found) > 1:
            more = ", ..." if len(found) > _MOST_NAMED else ""
            raise TaskNotFoundError(
                f'"{_plain(prefix)}" fits {len(found)} tasks: {", ".join(found[:_MOST_NAMED])}{more}',
                fix="give more of the id",
            )
        return read_report(self._tasks / found[0])

    def reports(self) -> list[TaskReport]:
        """All tasks, newest first. Damaged records are left out: see `damaged`.

        Raises:
            RecordError: the directory of all tasks cannot be read.
        """
        reports = []
        for name in self._ids():
            try:
                reports.append(read_report(self._tasks / name))
            except RecordError:
                continue  # told by `damaged`
        return sorted(reports, key=lambda report: (report.created_at, report.id), reverse=True)

    def damaged(self) -> list[Path]:
        """The directories of tasks whose report cannot be read.

        Raises:
            RecordError: the directory of all tasks cannot be read.
        """
        return [self._tasks / name for name in sorted(self._ids()) if not self._readable(name)]

    def events(self, task_id: str) -> Iterator[Event]:
        """A task's events, oldest first. A line cut by a crash ends them.

        Raises:
            TaskNotFoundError: there is no such task.
            RecordError: while they are read: the file cannot be read, or a line in it is damaged.
        """
        return read_lines(self._directory(task_id) / EVENTS_NAME, _events)

    def session(self, task_id: str) -> Iterator[Message]:
        """A task's conversation, oldest first. A line cut by a crash ends it.

        Raises:
            TaskNotFoundError: there is no such task.
            RecordError: while it is read: the file cannot be read, or a line in it is damaged.
        """
        return (entry.message for entry in read_lines(self._directory(task_id) / SESSION_NAME, _entries))

    def _ids(self) -> set[str]:
        try:
            with os.scandir(self._tasks) as entries:
                return {
                    entry.name for entry in entries if _ID.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
                }
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise cannot("read", self._tasks, error) from error

    def _readable(self, name: str) -> bool:
        try:
            read_report(self._tasks / name)
        except RecordError:
            return False
        return True

    def _directory(self, task_id: str) -> Path:
        directory = self._tasks / task_id
        if not _ID.fullmatch(task_id) or not directory.is_dir():
            raise TaskNotFoundError(f'there is no task "{_plain(task_id)}"', fix=_LIST_FIX)
        return directory


def _make_directory(path: Path, *, exist_ok: bool = False) -> None:
    try:
        path.mkdir(mode=0o700, parents=exist_ok, exist_ok=exist_ok)
    except FileExistsError as error:
        raise RecordError(
            f"{path} exists already", fix="" if exist_ok else "a task has one writer: use another id"
        ) from error
    except OSError as error:
        raise cannot("make", path, error) from error


def _plain(text: str) -> str:
    """What a user gave as an id, fit for a message."""
    return ascii(text)[1:-1]
