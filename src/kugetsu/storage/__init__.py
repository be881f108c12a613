"""What is kept on disk: a directory per task, with its report, its events and its session."""

from kugetsu.storage.files import FileStore
from kugetsu.storage.journal import FileJournal
from kugetsu.storage.task_log import FileTaskLog

__all__ = ["FileJournal", "FileStore", "FileTaskLog"]
