"""Progress on a terminal: one line per shadow, drawn anew a few times a second."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TextIO

from kugetsu.cli.views import amounts
from kugetsu.cli.views.board import Board, Row
from kugetsu.cli.views.layout import Cell, Column, lay_out
from kugetsu.cli.views.outlet import Outlet, terminal_size
from kugetsu.cli.views.styles import STATE_STYLES
from kugetsu.events import Event, ToolProgress

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

_COLUMNS: Final = (
    Column("task"),
    Column("state", wide=len("completed"), rank=2),
    Column("turn", right=True, rank=3),
    Column("doing", least=12),
    Column("tokens", right=True, rank=4),
    Column("time", right=True, wide=len("59m59s"), rank=1),
)
_AROUND: Final = 3
"""Lines beside those of the tasks: titles, sum, and the one the cursor stands on."""


def draw(board: Board, now: float, width: int, height: int) -> list["Text"]:
    """The lines of a board: titles, tasks, and a sum when there are several; they fit the terminal.

    Args:
        board: what is known.
        now: seconds since the epoch.
        width: cells of the terminal.
        height: lines of the terminal.
    """
    rows = _most_wanted(board.rows, max(1, height - _AROUND))
    if not rows:
        return []
    cells = [_cells(board, row, now) for row in rows]
    lines = lay_out(_COLUMNS, cells, width)
    return [*lines, _sum(board, len(rows), width)] if len(board.rows) > 1 else lines


def _most_wanted(rows: list[Row], count: int) -> list[Row]:
    """As many rows as there is room for: those that still run first, each at its place."""
    if len(rows) <= count:
        return rows
    chosen = sorted(range(len(rows)), key=lambda index: rows[index].ended is not None)[:count]
    return [rows[index] for index in sorted(chosen)]


def _cells(board: Board, row: Row, now: float) -> list[Cell]:
    return [
        (board.short(row), "bold"),
        (row.state, STATE_STYLES[row.state]),
        (str(row.turn or ""), ""),
        (row.doing, "dim" if row.ended else ""),
        (amounts.tokens(row.usage.tokens), ""),
        (amounts.elapsed(row.seconds(now)), ""),
    ]


def _sum(board: Board, shown: int, width: int) -> "Text":
    from rich.text import Text  # noqa: PLC0415 - needed only when something is drawn

    states = ", ".join(f"{count} {state}" for state, count in board.states.items())
    parts = [f"{len(board.rows)} tasks: {states}", f"{amounts.tokens(board.usage.tokens)} tokens"]
    if board.usage.cost_usd:
        parts.append(amounts.money(board.usage.cost_usd))
    if shown < len(board.rows):
        parts.append(f"{len(board.rows) - shown} not shown")
    line = Text("  ".join(parts), "dim", no_wrap=True, end="")
    line.truncate(width, overflow="ellipsis")
    return line


class LiveScreen:
    """Draws a board in place, and writes notes above it."""

    frame_seconds = 0.125
    patience_seconds: float | None = 1.0

    def __init__(self, stream: TextIO, now: Callable[[], float] = time.time) -> None:
        self._stream = stream
        self._now = now
        self._board = Board()
        self._live: Live | None = None
        self._outlet: Outlet | None = None

    def wants(self, event: Event) -> bool:
        """All but what running tools say."""
        return not isinstance(event, ToolProgress)

    def open(self) -> None:
        """Take over the terminal."""
        from rich.console import Console  # noqa: PLC0415 - needed only for a live view
        from rich.live import Live  # noqa: PLC0415 - as above

        self._outlet = Outlet(self._stream)
        console = Console(
            file=self._outlet.as_text_io(), force_terminal=True, markup=False, highlight=False, emoji=False
        )
        self._live = Live(
            console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False, get_renderable=self._draw
        )

    def show(self, events: list[Event]) -> None:
        """Draw what is known now."""
        for event in events:
            self._board.take(event)
        if self._live is None or self._outlet is None or not self._board.rows:
            return
        self._live.console.size = terminal_size(self._stream)
        if not self._live.is_started:
            self._live.start()
            # A process that is killed could not bring a hidden cursor back.
            self._live.console.show_cursor()
        for note in self._board.notes(events):
            self._live.console.print(note, soft_wrap=True)
        self._live.refresh()
        self._outlet.check()

    def close(self) -> None:
        """Leave the last drawing where it is, and the cursor below it, past an empty line."""
        if self._outlet is None:
            return
        try:
            if self._live and self._live.is_started:
                self._live.stop()
                self._outlet.write("\n")
        finally:
            self._outlet.close()

    def _draw(self) -> "Text":
        from rich.text import Text  # noqa: PLC0415 - needed only when something is drawn

        width, height = self._live.console.size if self._live else (80, 24)
        # The last cell of a line stays empty: some terminals go on to the next line when it is filled.
        return Text("\n", no_wrap=True).join(draw(self._board, self._now(), max(1, width - 1), height))
