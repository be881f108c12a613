"""A view that never holds up a run: events are shown from a thread of their own."""

import contextlib
import threading
from collections import Counter, deque
from types import TracebackType
from typing import Final, Protocol, Self

from kugetsu.events import TRANSIENT, Event, EventsDropped, TaskFinished, TaskHalted

MOST_WAITING: Final = 10_000
"""Events that wait to be shown; those beyond are counted instead."""

_MOST_AT_ONCE: Final = 200
"""Events whose lines are written before that counts as progress."""

IDLE_SECONDS: Final = 1.0
"""Longest time between two looks at a screen that shows a clock."""


class Screen(Protocol):
    """Draws events. Used by one thread; whatever it raises ends the view quietly."""

    @property
    def frame_seconds(self) -> float:
        """Least time between two drawings; 0 for screens that write every event at once and show no clock."""
        ...

    @property
    def patience_seconds(self) -> float | None:
        """How long the end may wait while nothing more can be written; None: for ever."""
        ...

    def wants(self, event: Event) -> bool:
        """Whether the event is shown at all. Called by every thread."""
        ...

    def open(self) -> None:
        """Get ready."""
        ...

    def show(self, events: list[Event]) -> None:
        """Show what happened since the last time."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was. Called also after a failure."""
        ...


class BackgroundView:
    """Hands events to a screen in a thread. Implements `View`.

    Attributes:
        failure: what ended the view early, None when nothing did.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._waiting: deque[Event] = deque()
        self._dropped: Counter[str] = Counter()
        self._news = threading.Event()
        self._closing = threading.Event()
        self._gone = False
        self._shown = 0
        self._thread = threading.Thread(target=self._run, name="kugetsu-view", daemon=True)
        self.failure: Exception | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing.set()
        self._news.set()
        shown = -1
        while self._thread.is_alive() and shown != self._shown:
            shown = self._shown
            self._thread.join(self._screen.patience_seconds)

    def take(self, event: Event) -> None:
        """Show an event soon. Never blocks and never raises; may be called by any thread."""
        if self._gone or not self._screen.wants(event):
            return
        if len(self._waiting) >= MOST_WAITING and not isinstance(event, (TaskFinished, TaskHalted)):
            self._dropped[event.task] += 1
            return
        self._waiting.append(event)
        if not self._news.is_set():
            self._news.set()

    def _run(self) -> None:
        try:
            self._screen.open()
            self._show_until_closed()
        except Exception as error:  # noqa: BLE001 - a view that fails must not break the run
            self.failure = error
        finally:
            self._gone = True
            self._waiting.clear()
            with contextlib.suppress(Exception):
                self._screen.close()

    def _show_until_closed(self) -> None:
        frame = self._screen.frame_seconds
        while not self._closing.is_set():
            self._news.wait(IDLE_SECONDS - frame if frame else None)
            self._closing.wait(frame)
            self._news.clear()
            self._show_waiting()
        self._show_waiting()

    def _show_waiting(self) -> None:
        """Show what waits; once also when nothing does, for a clock that runs."""
        while True:
            events = self._next()
            self._screen.show(events)
            self._shown += len(events)
            if self._screen.frame_seconds or not self._waiting:
                return

    def _next(self) -> list[Event]:
        """What waits: all of it for one drawing, or the next few for lines, so that it shows whether they move on."""
        count = len(self._waiting)
        if not self._screen.frame_seconds:
            count = min(count, _MOST_AT_ONCE)
        events = [self._waiting.popleft() for _ in range(count)]
        while self._dropped:
            task, count = self._dropped.popitem()
            last = next((event for event in reversed(events) if event.task == task), None)
            events.append(
                EventsDropped(task=task, seq=last.seq if last else 0, at=last.at if last else 0.0, count=count)
            )
        return events


def is_transient(event: Event) -> bool:
    """Whether an event only shows that something goes on."""
    return isinstance(event, TRANSIENT) and not isinstance(event, EventsDropped)
