"""The list of tokens: one line each."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TextIO

from kugetsu.cli.views import amounts
from kugetsu.cli.views.layout import Cell, Column, lay_out
from kugetsu.cli.views.printing import width_of, write_lines
from kugetsu.cli.views.text import one_line
from kugetsu.protocols import Token

if TYPE_CHECKING:
    from rich.text import Text

_COLUMNS: Final = (
    Column("id"),
    Column("name"),
    Column("age", right=True, rank=2),
    Column("revoked", right=True, rank=1),
    Column("scopes", least=12),
)


def token_lines(tokens: Sequence[Token], now: float, width: int | None) -> list["Text"]:
    """One line for each token, in the order given; `now` is in seconds since the epoch."""
    return lay_out(_COLUMNS, [_cells(token, now) for token in tokens], width)


def print_tokens(tokens: Sequence[Token], stream: TextIO, *, now: float) -> None:
    """Write the list.

    Raises:
        OSError: the stream refused it.
    """
    write_lines(stream, token_lines(tokens, now, width_of(stream)))


def _cells(token: Token, now: float) -> list[Cell]:
    return [
        (one_line(token.id), "bold"),
        (one_line(token.name), ""),
        (amounts.age(now - token.created_at), ""),
        (amounts.age(now - token.revoked_at) if token.revoked_at else "-", "red" if token.revoked_at else ""),
        (", ".join(token.scopes), ""),
    ]
