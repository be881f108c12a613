"""Progress for programs: every event as one line of JSON."""

from typing import TextIO

from kugetsu.cli.views.outlet import Outlet
from kugetsu.events import Event, encode_event


class JsonScreen:
    """Writes each event as `kugetsu.events.encode_event` gives it, and waits for a slow reader at the end."""

    frame_seconds = 0.0
    patience_seconds: float | None = None

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._outlet: Outlet | None = None

    def wants(self, event: Event) -> bool:  # noqa: ARG002 - as `Screen` has it
        """All of them."""
        return True

    def open(self) -> None:
        """Take over the stream."""
        self._outlet = Outlet(self._stream)

    def show(self, events: list[Event]) -> None:
        """Write their lines."""
        if self._outlet is None:
            return
        for event in events:
            self._outlet.write(f"{encode_event(event).decode()}\n")
        self._outlet.check()

    def close(self) -> None:
        """Give the stream back."""
        if self._outlet:
            self._outlet.close()
