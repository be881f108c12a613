"""One line of the log: first as what happened, later, in another thread, in words."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from kugetsu.logs.redaction import Redactor

LONGEST_MESSAGE: Final = 2_000
"""Characters of a message."""


class Line(NamedTuple):
    """A line in words, before it is laid out. Every text in its fields was made by a `Redactor`.

    Attributes:
        event: short name of what happened.
        message: one line for people.
        fields: the same for programs: what JSON can hold.
    """

    event: str
    message: str
    fields: Mapping[str, Any] = {}


Wording: TypeAlias = Callable[[Redactor], Line]
"""Puts what happened into words."""


class Where(NamedTuple):
    """What a line is about.

    Attributes:
        task: id of the task; empty for what is outside of any task.
        run: which run of the task, counted from 1; 0 for none.
        turn: the last turn that began in the task; 0 before the first.
    """

    task: str = ""
    run: int = 0
    turn: int = 0

    @property
    def shadow(self) -> str:
        """Who did it: `TASK#RUN`; empty for the program itself."""
        return f"{self.task}#{self.run}" if self.task else ""


NOWHERE = Where()


class Entry:
    """Something that waits to be written: cheap to make, and put into words by the thread that writes it.

    Attributes:
        at: when it happened; seconds since the epoch.
        level: see `levels.LEVELS`.
        where: what it is about.
    """

    __slots__ = ("_line", "_wording", "at", "level", "where")

    def __init__(self, at: float, level: int, where: Where, wording: Wording) -> None:
        self.at = at
        self.level = level
        self.where = where
        self._wording = wording
        self._line: Line | None = None

    def line(self, redactor: Redactor) -> Line:
        """The line in words; made once."""
        if self._line is None:
            made = self._wording(redactor)
            # Once more as a whole: its pieces may make up what none of them is.
            self._line = made._replace(message=redactor.line(made.message, LONGEST_MESSAGE))
        return self._line
