"""Lines of columns that fit a width: what matters least gives way first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from rich.text import Text

Cell: TypeAlias = tuple[str, str]
"""Text on one line, and its style."""

GAP: Final = 2
"""Spaces between two columns."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        right: whether its cells stand at the right.
        wide: least width, so that the columns do not jump when cells change.
        least: for a column that takes the width that is left: the least it needs. 0: as wide as its cells.
        rank: columns with the highest rank are left out first when the width is too small. 0: never left out.
    """

    title: str
    right: bool = False
    wide: int = 0
    least: int = 0
    rank: int = 0


def needed(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> int:
    """The least width in which no column is left out."""
    widths = _natural(columns, rows)
    return _sum([column.least or width for column, width in zip(columns, widths, strict=True)])


def lay_out(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int | None) -> list["Text"]:
    """Make one line for the titles and one for each row.

    Args:
        columns: what the cells of a row are.
        rows: cells, as many in each row as there are columns.
        width: cells of the terminal; no line is longer. None: as wide as it gets.
    """
    kept = list(range(len(columns)))
    while width is not None and needed(*_pick(columns, rows, kept)) > width:
        droppable = [index for index in kept if columns[index].rank]
        if not droppable:
            break
        kept.remove(max(droppable, key=lambda index: columns[index].rank))
    columns, rows = _pick(columns, rows, kept)
    widths = _final(columns, _natural(columns, rows), width)
    titles = [(column.title, "dim") for column in columns]
    return [_line(columns, cells, widths, width) for cells in (titles, *rows)]


def _pick(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], kept: Sequence[int]
) -> tuple[list[Column], list[list[Cell]]]:
    return [columns[index] for index in kept], [[row[index] for index in kept] for row in rows]


def _natural(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> list[int]:
    from rich.cells import cell_len  # noqa: PLC0415 - needed only when something is drawn

    return [
        max([column.wide, cell_len(column.title), *(cell_len(row[index][0]) for row in rows)])
        for index, column in enumerate(columns)
    ]


def _final(columns: Sequence[Column], widths: list[int], width: int | None) -> list[int]:
    """Give the columns that can shrink or grow what the others leave, so that lines fill the width."""
    if width is None:
        return widths
    flexible = [index for index, column in enumerate(columns) if column.least]
    spare = width - _sum([0 if index in flexible else wide for index, wide in enumerate(widths)])
    for position, index in enumerate(flexible):
        share = spare // (len(flexible) - position)
        widths[index] = max(1, share)
        spare -= widths[index]
    return widths


def _sum(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _line(columns: Sequence[Column], cells: Sequence[Cell], widths: Sequence[int], width: int | None) -> "Text":
    from rich.text import Text  # noqa: PLC0415 - needed only when something is drawn

    line = Text(no_wrap=True, end="")
    for column, (text, style), wide in zip(columns, cells, widths, strict=True):
        cell = Text(text, style)
        cell.truncate(wide, overflow="ellipsis")
        cell.align("right" if column.right else "left", wide)
        line.append_text(cell).append(" " * GAP)
    line.rstrip()
    if width is not None:
        line.truncate(width, overflow="ellipsis")
    return line
