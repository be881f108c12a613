"""What happened in a task: one line for each event that says something."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TextIO

from kugetsu.cli.views.amounts import date_and_time, time_of_day
from kugetsu.cli.views.phrases import phrase
from kugetsu.cli.views.printing import write_lines
from kugetsu.cli.views.styles import STATE_STYLES
from kugetsu.events import (
    CheckFinished,
    Event,
    ModelRetried,
    Noted,
    QuestionAsked,
    TaskFinished,
    TaskHalted,
    ToolFinished,
)
from kugetsu.tasks import CheckResult

if TYPE_CHECKING:
    from rich.text import Text


class Timeline:
    """Writes a line for each event, with its local time; a line with the date wherever a new day begins."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._day = ""

    def write(self, events: Iterable[Event]) -> None:
        """Write what happened next.

        Raises:
            OSError: the stream refused it.
        """
        if lines := [line for event in events for line in self._lines(event)]:
            write_lines(self._stream, lines)

    def _lines(self, event: Event) -> Iterator["Text"]:
        from rich.text import Text  # noqa: PLC0415 - needed only when something is printed

        if not (said := phrase(event)):
            return
        if (today := date_and_time(event.at).partition(" ")[0]) != self._day:
            self._day = today
            yield Text(today, "dim")
        yield Text.assemble((time_of_day(event.at), "dim"), "  ", (said, _style(event)))


def _style(event: Event) -> str:
    match event:
        case TaskFinished() | TaskHalted():
            return STATE_STYLES[event.state]
        case ToolFinished(is_error=True) | CheckFinished(result=CheckResult(passed=False)):
            return "red"
        case CheckFinished(result=CheckResult(passed=True)):
            return "green"
        case ModelRetried() | Noted() | QuestionAsked():
            return "yellow"
        case _:
            return ""
