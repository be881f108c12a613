"""Progress in plain lines: for files, pipes and simple terminals."""

from typing import TextIO

from kugetsu.cli.views.amounts import time_of_day
from kugetsu.cli.views.background import is_transient
from kugetsu.cli.views.board import ShortIds
from kugetsu.cli.views.outlet import Outlet
from kugetsu.cli.views.phrases import phrase
from kugetsu.events import Event


class PlainScreen:
    """Writes one line for each event that changes something: `12:01:07 k3f9 turn 2 bash: pytest -q`."""

    frame_seconds = 0.0
    patience_seconds: float | None = 1.0

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._outlet: Outlet | None = None
        self._short = ShortIds()

    def wants(self, event: Event) -> bool:
        """Not those that only show that something goes on."""
        return not is_transient(event)

    def open(self) -> None:
        """Take over the stream."""
        self._outlet = Outlet(self._stream)

    def show(self, events: list[Event]) -> None:
        """Write their lines."""
        if self._outlet is None:
            return
        for event in events:
            if said := phrase(event):
                self._outlet.write(f"{self._head(event)} {said}\n")
        self._outlet.check()

    def close(self) -> None:
        """Give the stream back."""
        if self._outlet:
            self._outlet.close()

    def _head(self, event: Event) -> str:
        return f"{time_of_day(event.at)} {self._short.shorten(event.task)}"
