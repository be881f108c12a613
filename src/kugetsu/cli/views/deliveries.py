"""The list of news that go out: one line each."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TextIO

from kugetsu.cli.views import amounts
from kugetsu.cli.views.layout import Cell, Column, lay_out
from kugetsu.cli.views.printing import width_of, write_lines
from kugetsu.cli.views.text import one_line
from kugetsu.protocols import Delivery, DeliveryState

if TYPE_CHECKING:
    from rich.text import Text

_INDENT: Final = "  "

_STYLES: Final[dict[DeliveryState, str]] = {
    "pending": "yellow",
    "delivered": "green",
    "expired": "red",
    "refused": "red",
}

_COLUMNS: Final = (
    Column("id", right=True),
    Column("state"),
    Column("target"),
    Column("event", rank=2),
    Column("task"),
    Column("tries", right=True, rank=3),
    Column("age", right=True, rank=1),
)


def delivery_lines(deliveries: Sequence[Delivery], now: float, width: int | None) -> list["Text"]:
    """One line for each, in the order given, and below it what the last attempt said; `now` is in seconds since the epoch."""
    from rich.text import Text  # noqa: PLC0415 - needed only when something is printed

    titles, *lines = lay_out(_COLUMNS, [_cells(delivery, now) for delivery in deliveries], width)
    listed = [titles]
    for delivery, line in zip(deliveries, lines, strict=True):
        listed.append(line)
        if said := _said(delivery, now):
            style = "dim" if delivery.state == "delivered" else "yellow"
            listed.append(Text(_INDENT + said, style, no_wrap=width is not None))
            if width is not None:
                listed[-1].truncate(width, overflow="ellipsis")
    return listed


def print_deliveries(deliveries: Sequence[Delivery], stream: TextIO, *, now: float, width: int | None = None) -> None:
    """Write the list.

    Raises:
        OSError: the stream refused it.
    """
    write_lines(stream, delivery_lines(deliveries, now, width or width_of(stream)))


def _cells(delivery: Delivery, now: float) -> list[Cell]:
    return [
        (str(delivery.id), "bold"),
        (delivery.state, _STYLES[delivery.state]),
        (one_line(delivery.target), ""),
        (one_line(delivery.event), ""),
        (one_line(delivery.task), ""),
        (str(delivery.attempts), ""),
        (amounts.age(now - delivery.created_at), ""),
    ]


def _said(delivery: Delivery, now: float) -> str:
    """Why it did not work, and when it is tried again."""
    said = one_line(delivery.error)
    if delivery.state != "pending" or not said:
        return said
    wait = delivery.due_at - now
    return f"{said}; {f'again in {amounts.elapsed(wait)}' if wait > 0 else 'due now'}"
