"""What happened in a task: one line for each event that says something."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TextIO

from kugetsu.cli.views.amounts import date_and_time, time_of_day
from kugetsu.cli.views.phrases import phrase
from kugetsu.cli.views.printing import write_lines
from kugetsu.cli.views.styles import STATE_STYLES
from kugetsu.events import CheckFinished, Event, ModelRetried, Noted, TaskFinished, ToolFinished
from kugetsu.tasks import CheckResult

if TYPE_CHECKING:
    from rich.text import Text


def timeline(events: Iterable[Event]) -> Iterator["Text"]:
    """A line for each event, with its local time; a line with the date wherever a new day begins."""
    from rich.text import Text  # noqa: PLC0415 - needed only when something is printed

    day = ""
    for event in events:
        if not (said := phrase(event)):
            continue
        if (today := date_and_time(event.at).partition(" ")[0]) != day:
            day = today
            yield Text(day, "dim")
        yield Text.assemble((time_of_day(event.at), "dim"), "  ", (said, _style(event)))


def print_timeline(events: Iterable[Event], stream: TextIO) -> None:
    """Write what happened, event by event.

    Raises:
        OSError: the stream refused it.
        RecordError: what comes from `events` itself; what was read before is written.
    """
    for line in timeline(events):
        write_lines(stream, [line])


def _style(event: Event) -> str:
    match event:
        case TaskFinished():
            return STATE_STYLES[event.state]
        case ToolFinished(is_error=True) | CheckFinished(result=CheckResult(passed=False)):
            return "red"
        case CheckFinished(result=CheckResult(passed=True)):
            return "green"
        case ModelRetried() | Noted():
            return "yellow"
        case _:
            return ""
