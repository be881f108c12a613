"""Lines on a stream: with colours and cut to fit on a terminal, plain and whole anywhere else."""

import os
from collections.abc import Iterable
from io import StringIO
from typing import TYPE_CHECKING, TextIO

from kugetsu.cli.views.outlet import encodable, terminal_size

if TYPE_CHECKING:
    from rich.text import Text


def width_of(stream: TextIO) -> int | None:
    """The width of a terminal in cells; None for a stream that is none, which takes lines of any length."""
    return terminal_size(stream)[0] if stream.isatty() else None


def write_lines(stream: TextIO, lines: Iterable["Text"]) -> None:
    """Write lines; a terminal wraps those that are too long.

    Raises:
        OSError: the stream refused them, for example because its reader has gone.
    """
    from rich.console import Console  # noqa: PLC0415 - needed only when something is printed

    drawn = StringIO()
    colours = stream.isatty() and "NO_COLOR" not in os.environ
    console = Console(
        file=drawn, force_terminal=colours, no_color=not colours, markup=False, highlight=False, emoji=False
    )
    for line in lines:
        console.print(line, soft_wrap=True, end="\n")
    stream.write(encodable(drawn.getvalue(), stream))
    stream.flush()
