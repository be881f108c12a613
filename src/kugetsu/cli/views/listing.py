"""The list of all tasks: one line each."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TextIO

from kugetsu.cli.views import amounts
from kugetsu.cli.views.layout import Cell, Column, lay_out
from kugetsu.cli.views.printing import width_of, write_lines
from kugetsu.cli.views.standing import why
from kugetsu.cli.views.styles import STATE_STYLES, check_word
from kugetsu.cli.views.text import first_line, one_line
from kugetsu.tasks import TaskReport

if TYPE_CHECKING:
    from rich.text import Text

_PRIORITY: Final = "priority"
_PRIORITY_PLACE: Final = 2
_INDENT: Final = "  "

_COLUMNS: Final = (
    Column("id"),
    Column("state"),
    Column(_PRIORITY, right=True, rank=5),
    Column("age", right=True, rank=1),
    Column("check", rank=2),
    Column("commits", right=True, rank=3),
    Column("branch", rank=4),
    Column("prompt", least=24),
)


def listing(reports: Sequence[TaskReport], now: float, width: int | None) -> list["Text"]:
    """One line for each report, in the order given, and below it why it does not run; `now` is in seconds since the epoch."""
    from rich.text import Text  # noqa: PLC0415 - needed only when something is printed

    rows = [_cells(report, now) for report in reports]
    columns: Sequence[Column] = _COLUMNS
    if not any(report.priority for report in reports):
        columns = [column for column in _COLUMNS if column.title != _PRIORITY]
        rows = [row[:_PRIORITY_PLACE] + row[_PRIORITY_PLACE + 1 :] for row in rows]
    titles, *lines = lay_out(columns, rows, width)
    listed = [titles]
    for report, line in zip(reports, lines, strict=True):
        listed.append(line)
        if reason := why(report, now):
            listed.append(Text(_INDENT + reason, "yellow", no_wrap=width is not None))
            if width is not None:
                listed[-1].truncate(width, overflow="ellipsis")
    return listed


def print_listing(reports: Sequence[TaskReport], stream: TextIO, *, now: float, width: int | None = None) -> None:
    """Write the list.

    Raises:
        OSError: the stream refused it.
    """
    write_lines(stream, listing(reports, now, width or width_of(stream)))


def _cells(report: TaskReport, now: float) -> list[Cell]:
    return [
        (one_line(report.id), "bold"),
        (report.state, STATE_STYLES[report.state]),
        (str(report.priority or ""), ""),
        (amounts.age(now - report.created_at), ""),
        check_word(report.check),
        (str(len(report.commits)), ""),
        (one_line(report.branch) or "-", ""),
        (first_line(report.prompt), ""),
    ]
