"""The log of this process: lines on a stream, and as JSON in a file of the state directory."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

from kugetsu.config import LogLevel, LogSettings
from kugetsu.errors import KugetsuError
from kugetsu.logs.entry import NOWHERE, Entry, Line, Wording
from kugetsu.logs.foreign import OURS, ForeignHandler, fit, traced
from kugetsu.logs.layout import Layout, json_line, readable
from kugetsu.logs.levels import LEVELS, LevelFile, LevelWatch
from kugetsu.logs.lines import TaskLogger
from kugetsu.logs.outlets import FileOutlet, Outlet, StreamOutlet
from kugetsu.logs.redaction import Redactor
from kugetsu.logs.writer import Writer

LOG_FILE: Final = Path("logs", "kugetsu.log")
"""Where lines are kept, in the state directory."""

_MEGABYTE: Final = 2**20


class Log:
    """Takes what is to be said. Nothing here blocks or raises; lines that cannot be written are lost and counted.

    Args:
        settings: level, format, size of the file.
        home: the state directory.
        stream: where lines are shown; None for nowhere.
        redactor: takes secrets out.
        now: seconds since the epoch.
    """

    def __init__(
        self,
        settings: LogSettings,
        home: Path,
        stream: TextIO | None,
        redactor: Redactor,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._now = now
        self._level = settings.level
        self._threshold = LEVELS[settings.level]
        self._writers: list[Writer] = []
        if stream is not None:
            shown = json_line if settings.format == "json" else readable
            self._add(StreamOutlet(stream), shown, redactor)
        if settings.file_mb:
            self._add(FileOutlet(home / LOG_FILE, settings.file_mb * _MEGABYTE, settings.files), json_line, redactor)
        self._watch = LevelWatch(LevelFile(home), self._set_level, self.trouble)
        self._handler = ForeignHandler(self.put, self.threshold)

    @property
    def level(self) -> LogLevel:
        """The least important lines that are written now."""
        return self._level

    def threshold(self) -> int:
        """The same as a number, see `LEVELS`."""
        return self._threshold

    def put(self, entry: Entry) -> None:
        """Write an entry soon, whatever its level. For any thread."""
        for writer in tuple(self._writers):
            writer.put(entry)

    def task(self, task: str, run: int) -> TaskLogger:
        """Make the logger of one run of a task. See `TaskLogger`."""
        return TaskLogger(self.put, self.threshold, task, run)

    def say(self, event: str, sentence: str, *, level: LogLevel = "info", **fields: object) -> None:
        """Say what the program itself does.

        Args:
            event: its short name.
            sentence: for people; any text.
            level: how important it is.
            fields: for programs; any values.
        """
        self._tell(LEVELS[level], event, sentence, fields)

    def trouble(self, sentence: str) -> None:
        """Say what went wrong outside of any task, at level `error`. A traceback's last line becomes the message."""
        self._tell(logging.ERROR, "trouble", sentence, {})

    def failed(self, error: BaseException) -> None:
        """Say that the program ends with an error, with its traceback."""
        self._put(logging.ERROR, lambda words: traced("program_failed", "the program ends", error, words, {}))

    def open(self) -> None:
        """Begin to write, and to listen to the loggers of the standard library."""
        for writer in self._writers:
            writer.open()
        logging.getLogger(OURS).setLevel(self._threshold)
        logging.getLogger().addHandler(self._handler)
        self._watch.open()

    def close(self) -> None:
        """Write what waits, for as long as somebody takes it."""
        logging.getLogger().removeHandler(self._handler)
        logging.getLogger(OURS).setLevel(logging.NOTSET)
        self._watch.close()
        while self._writers:
            writer = self._writers.pop(0)
            if lost := writer.close():
                self._warn(
                    Line("lines_lost", f"{lost:,} lines are missing at the end of {writer.name}", {"count": lost})
                )

    def _tell(self, level: int, event: str, sentence: str, fields: dict[str, object]) -> None:
        if level >= self._threshold:
            self._put(
                level,
                lambda words: traced(event, sentence, None, words, {name: fit(fields[name], words) for name in fields}),
            )

    def _put(self, level: int, wording: Wording) -> None:
        self.put(Entry(self._now(), level, NOWHERE, wording))

    def _add(self, outlet: Outlet, layout: Layout, redactor: Redactor) -> None:
        self._writers.append(Writer(outlet, layout, redactor, self._pass_on, self._now))

    def _pass_on(self, failing: Writer, sentence: str) -> None:
        """One outlet fails: the other one says so."""
        self._warn(Line("log_unwritable", sentence), but=failing)

    def _warn(self, line: Line, but: Writer | None = None) -> None:
        """Speak of the log itself, whatever its level."""
        for writer in tuple(self._writers):
            if writer is not but:
                writer.put(Entry(self._now(), logging.WARNING, NOWHERE, lambda _words: line))

    def _set_level(self, level: LogLevel | None) -> None:
        before, self._level = self._level, level or self._settings.level
        self._threshold = LEVELS[self._level]
        logging.getLogger(OURS).setLevel(self._threshold)
        origin = "`kugetsu log-level`" if level else "the settings"
        line = f"the level of this log is now {self._level}, as {origin} say" + ("s" if level else "")
        if before != self._level:
            self._put(logging.INFO, lambda words: traced("log_level", line, None, words, {"before": before}))


@contextmanager
def open_log(
    settings: LogSettings,
    home: Path,
    *,
    stream: TextIO | None,
    secrets: Iterable[str] = (),
    now: Callable[[], float] = time.time,
) -> Iterator[Log]:
    """Log while the block runs. An error that ends the block is logged too, and raised on.

    Args:
        settings: level, format, size of the file.
        home: the state directory.
        stream: where lines are shown, usually `sys.stderr`; None for nowhere.
        secrets: what must never be shown, see `known_secrets`; what looks like a secret is left out by itself.
        now: seconds since the epoch.
    """
    with contextlib.suppress(OSError):  # whoever needs the directory says why it cannot be had
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = Log(settings, home, stream, Redactor(secrets), now)
    log.open()
    try:
        yield log
    except KugetsuError as error:
        log.trouble(f"the program ends: {error}")
        raise
    except Exception as error:
        log.failed(error)
        raise
    finally:
        log.close()
