"""The thread that writes: whoever has something to say leaves it in a queue and goes on."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from kugetsu.logs.entry import NOWHERE, Entry, Line
from kugetsu.logs.layout import Layout
from kugetsu.logs.outlets import Outlet
from kugetsu.logs.redaction import Redactor

MOST_WAITING: Final = 5_000
"""Lines that wait to be written; those beyond are lost, and counted."""

_GATHER_SECONDS: Final = 0.02
"""How long the thread lets lines come together, so that it seldom takes the interpreter from the event loop."""

_MOST_AT_ONCE: Final = 100
"""Lines that are written before that counts as progress."""

PATIENCE_SECONDS: Final = 1.0
"""How long the end waits while nothing more can be written."""

_TOO_FAST: Final = "they came faster than they could be written"


class Writer:
    """Writes entries to one outlet, in a thread of its own. What cannot be written is lost, counted, and spoken of later.

    Args:
        outlet: where to.
        layout: what a line looks like.
        redactor: takes secrets out.
        on_trouble: told, with this writer, in a sentence when lines begin to be lost because they cannot be written.
            Called by the thread.
        now: seconds since the epoch.

    Attributes:
        lost: lines that were lost and that the outlet has not been told of.
    """

    def __init__(
        self,
        outlet: Outlet,
        layout: Layout,
        redactor: Redactor,
        on_trouble: Callable[["Writer", str], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self.lost = 0
        self.name = outlet.name
        self._outlet = outlet
        self._layout = layout
        self._redactor = redactor
        self._on_trouble = on_trouble
        self._now = now
        self._waiting: deque[Entry] = deque()
        self._news = threading.Event()
        self._closing = threading.Event()
        self._counting = threading.Lock()
        self._why = ""
        self._failing = False
        self._progress = self._under_way = 0
        self._thread = threading.Thread(target=self._run, name="kugetsu-log", daemon=True)

    def open(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, entry: Entry) -> None:
        """Write an entry soon. Never blocks and never raises; may be called by any thread."""
        if len(self._waiting) >= MOST_WAITING:
            self._lose(1, _TOO_FAST)
            return
        self._waiting.append(entry)
        if not self._news.is_set():
            self._news.set()

    def close(self) -> int:
        """Write what waits, for as long as that makes progress; returns how many lines are lost for good."""
        self._closing.set()
        self._news.set()
        progress = -1
        while self._thread.is_alive() and progress != self._progress:
            progress = self._progress
            self._thread.join(PATIENCE_SECONDS)
        return self.lost + self._under_way + len(self._waiting)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._news.wait()
            self._closing.wait(_GATHER_SECONDS)
            self._news.clear()
            self._write_waiting()
        self._write_waiting()
        if self.lost:
            self._write([])
        self._outlet.close()

    def _write_waiting(self) -> None:
        while self._waiting:
            count = min(len(self._waiting), _MOST_AT_ONCE)
            self._under_way = count
            self._write([self._waiting.popleft() for _ in range(count)])
            self._under_way = 0
            self._progress += 1

    def _write(self, entries: list[Entry]) -> None:
        told = self.lost
        lines = [self._laid_out(self._told_of(told))] if told else []
        lines += [line for line in map(self._laid_out, entries) if line]
        written, error = self._outlet.write(lines)
        if told and written:
            self._lose(-told, "")
        if error is None:
            self._failing = False
            return
        reason = getattr(error, "strerror", None) or str(error)
        self._lose(len(lines) - max(written, bool(told)), reason)
        if not self._failing:
            self._failing = True
            self._on_trouble(self, f"{self.name} cannot be written: {reason}; its lines are lost until it can be")

    def _laid_out(self, entry: Entry) -> bytes:
        try:
            line = self._layout(entry, self._redactor)
        except Exception as error:  # noqa: BLE001 - a line that cannot be made must not end the log; it is counted
            self._lose(1, f"{type(error).__name__} while they were put into words")
            return b""
        if not line:
            self._lose(1, "they would have shown secrets")
        return line

    def _told_of(self, count: int) -> Entry:
        lines, why = "1 line is" if count == 1 else f"{count:,} lines are", self._why
        fields = {"count": count, "reason": why}
        line = Line("lines_lost", f"{lines} missing here: {why}", fields)
        return Entry(self._now(), logging.WARNING, NOWHERE, lambda _words: line)

    def _lose(self, count: int, why: str) -> None:
        with self._counting:
            self.lost += count
            self._why = why or self._why
