"""The list of all tasks: one line each."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TextIO

from kugetsu.cli.views import amounts
from kugetsu.cli.views.layout import Cell, Column, lay_out
from kugetsu.cli.views.printing import width_of, write_lines
from kugetsu.cli.views.styles import STATE_STYLES, check_word
from kugetsu.cli.views.text import first_line, one_line
from kugetsu.tasks import TaskReport

if TYPE_CHECKING:
    from rich.text import Text

_COLUMNS: Final = (
    Column("id"),
    Column("state"),
    Column("age", right=True, rank=1),
    Column("check", rank=2),
    Column("commits", right=True, rank=3),
    Column("branch", rank=4),
    Column("prompt", least=24),
)


def listing(reports: Sequence[TaskReport], now: float, width: int | None) -> list["Text"]:
    """One line for each report, in the order given; `now` is in seconds since the epoch."""
    return lay_out(_COLUMNS, [_cells(report, now) for report in reports], width)


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
        (amounts.age(now - report.created_at), ""),
        check_word(report.check),
        (str(len(report.commits)), ""),
        (one_line(report.branch) or "-", ""),
        (first_line(report.prompt), ""),
    ]
