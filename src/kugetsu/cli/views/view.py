"""How a run is shown while it runs."""

import os
from collections.abc import Mapping
from types import TracebackType
from typing import Literal, Protocol, Self, TextIO, TypeAlias

from kugetsu.cli.views.background import BackgroundView
from kugetsu.cli.views.json_lines import JsonScreen
from kugetsu.cli.views.live import LiveScreen
from kugetsu.cli.views.plain import PlainScreen
from kugetsu.events import Event

ViewKind: TypeAlias = Literal["auto", "live", "plain", "json", "none"]
"""`auto` is `live` on a terminal that can move its cursor, else `plain`."""


class View(Protocol):
    """Shows the events of any number of tasks, between its `with` and the end of it.

    A view that fails (a closed terminal, a broken pipe) goes quiet.
    """

    def take(self, event: Event) -> None:
        """Show an event. Never blocks and never raises, so that it can be attached to a feed; for any thread."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class NoView:
    """Shows nothing."""

    def take(self, event: Event) -> None:
        """Do nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Do nothing."""


def open_view(kind: ViewKind, stream: TextIO, *, environ: Mapping[str, str] = os.environ) -> View:
    """Make a view; it begins with its `with`.

    Args:
        kind: what it looks like.
        stream: where it is written, usually `sys.stderr`.
        environ: tells what the terminal can do (`TERM`).
    """
    match kind:
        case "none":
            return NoView()
        case "json":
            return BackgroundView(JsonScreen(stream))
        case "auto" if not _can_move_its_cursor(stream, environ):
            return BackgroundView(PlainScreen(stream))
        case "plain":
            return BackgroundView(PlainScreen(stream))
        case _:
            return BackgroundView(LiveScreen(stream))


def _can_move_its_cursor(stream: TextIO, environ: Mapping[str, str]) -> bool:
    try:
        return stream.isatty() and environ.get("TERM", "dumb") not in {"dumb", ""}
    except ValueError:
        return False
