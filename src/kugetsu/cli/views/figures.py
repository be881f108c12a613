"""How things stand, in figures."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, TextIO

from kugetsu.cli.views import amounts
from kugetsu.cli.views.printing import write_lines
from kugetsu.cli.views.standing import FieldLine
from kugetsu.cli.views.text import one_line
from kugetsu.protocols import DeliveryState, Stats
from kugetsu.tasks import TaskState

if TYPE_CHECKING:
    from rich.text import Text

_LABEL: Final = 12
_MB: Final = 2**20


def print_stats(stats: Stats, stream: TextIO, *, more: Iterable[FieldLine] = ()) -> None:
    """Write how things stand.

    Args:
        stats: the figures.
        stream: where to.
        more: what is to stand above them.

    Raises:
        OSError: the stream refused it.
    """
    write_lines(stream, (_line(*field) for field in (*more, *_fields(stats))))


def _fields(stats: Stats) -> Iterator[FieldLine]:
    yield "tasks", _counts(stats.tasks) or "none", ""
    if stats.most_pending:
        yield "room", f"{max(0, stats.most_pending - stats.tasks.get('pending', 0)):,} more may be pending", ""
    if stats.task_slots:
        commands = f"; {amounts.counted(stats.commands, 'command')} at work, {stats.commands_waiting:,} waiting"
        yield "working on", f"{amounts.counted(stats.shadows, 'task')} of up to {stats.task_slots:,}{commands}", ""
    if stats.memory_available is not None:
        yield "memory", f"{stats.memory_available // _MB:,} MB available", ""
    if news := _counts(stats.deliveries):
        yield "news", news, ""
    if stats.uptime:
        yield "up for", amounts.elapsed(stats.uptime), ""
    if not stats.served:
        yield "", "no worker runs: `kugetsu serve` works on the queue", "yellow"


def _counts(counts: Mapping[TaskState, int] | Mapping[DeliveryState, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)


def _line(label: str, value: str, style: str) -> "Text":
    from rich.text import Text  # noqa: PLC0415 - needed only when something is printed

    return Text.assemble((label.ljust(_LABEL), "dim"), (one_line(value), style))
