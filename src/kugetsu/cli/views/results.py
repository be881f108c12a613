"""What several tasks came to: one table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TextIO

from kugetsu.cli.views import amounts
from kugetsu.cli.views.layout import Cell, Column, lay_out, needed
from kugetsu.cli.views.printing import width_of, write_lines
from kugetsu.cli.views.styles import STATE_STYLES, check_word
from kugetsu.cli.views.text import one_line
from kugetsu.tasks import TaskReport

if TYPE_CHECKING:
    from rich.text import Text

_COLUMNS: Final = (
    Column("branch"),
    Column("state"),
    Column("commits", right=True),
    Column("files", right=True, rank=2),
    Column("lines", right=True),
    Column("check"),
    Column("turns", right=True),
    Column("tokens", right=True),
    Column("cost", right=True, rank=1),
    Column("time", right=True),
)
_INDENT: Final = "  "


def results(reports: Sequence[TaskReport], width: int | None) -> list["Text"]:
    """One line for each report; where the branches do not fit beside the rest, each stands on a line below."""
    from rich.text import Text  # noqa: PLC0415 - needed only when something is printed

    rows = [_cells(report) for report in reports]
    if width is None or needed(_COLUMNS, rows) <= width:
        return lay_out(_COLUMNS, rows, width)
    lines = lay_out(_COLUMNS[1:], [row[1:] for row in rows], width)
    below = [Text(f"{_INDENT}{row[0][0]}", "bold") for row in rows]
    return [lines[0], *(line for pair in zip(lines[1:], below, strict=True) for line in pair)]


def print_results(reports: Sequence[TaskReport], stream: TextIO, *, width: int | None = None) -> None:
    """Write the table of several reports.

    Raises:
        OSError: the stream refused it.
    """
    write_lines(stream, results(reports, width or width_of(stream)))


def _cells(report: TaskReport) -> list[Cell]:
    return [
        (one_line(report.branch) or "(no branch)", "bold"),
        (report.state, STATE_STYLES[report.state]),
        (str(len(report.commits)), ""),
        (str(report.files_changed), ""),
        (f"+{report.insertions} -{report.deletions}", ""),
        check_word(report.check),
        (str(report.turns), ""),
        (amounts.tokens(report.usage.tokens), ""),
        (amounts.money(report.usage.cost_usd), ""),
        (amounts.duration(report.seconds), ""),
    ]
