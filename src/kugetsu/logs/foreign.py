"""Lines of the standard library's loggers: those of our own adapters, and warnings of the libraries."""

import logging
import re
import traceback
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

from kugetsu.logs.entry import NOWHERE, Entry, Line, Where
from kugetsu.logs.redaction import Redactor
from kugetsu.logs.wording import BLOCK, REASON, TEXT

OURS: Final = "kugetsu"
"""Name of the logger above all of ours. Others are heard from `warning` on."""

about: ContextVar[Callable[[], Where]] = ContextVar("about", default=lambda: NOWHERE)
"""Tells which task the code that runs works for."""

_OF_OURS: Final = f"{OURS}."
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,40}", re.ASCII)
_USUAL: Final = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})


class ForeignHandler(logging.Handler):
    """Hands records of the standard library's loggers to the log. Never blocks and never raises.

    Args:
        put: takes an entry.
        threshold: tells the least level that is written.
    """

    def __init__(self, put: Callable[[Entry], None], threshold: Callable[[], int]) -> None:
        super().__init__()
        self._put = put
        self._threshold = threshold

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record. Its text is made now, because what it speaks of may change."""
        least = self._threshold()
        ours = record.name == OURS or record.name.startswith(_OF_OURS)
        if record.levelno < (least if ours else max(least, logging.WARNING)):
            return
        try:
            text = record.getMessage()
        except Exception as failure:  # noqa: BLE001 - a message that cannot be made is said to be so
            text = f"{record.msg!s:.200} ({type(failure).__name__} while it was put into words)"
        error = record.exc_info[1] if record.exc_info else None
        extra = {name: value for name, value in vars(record).items() if name not in _USUAL and _NAME.fullmatch(name)}
        source = record.name

        def wording(words: Redactor) -> Line:
            fields: dict[str, Any] = {"source": words.line(source, TEXT)}
            fields |= {name: fit(value, words) for name, value in extra.items()}
            return traced("log", text, error, words, fields)

        self._put(Entry(record.created, record.levelno, about.get()(), wording))


def traced(event: str, text: str, error: BaseException | None, words: Redactor, fields: dict[str, Any]) -> Line:
    """A line with the traceback that belongs to it: on the line only what happened, the rest in the field `exception`.

    Args:
        event: short name.
        text: what is to be said; may be a traceback itself.
        error: what was raised, None for nothing.
        words: makes texts fit to be shown.
        fields: of the line.
    """
    if error is not None:
        trace = "".join(traceback.format_exception(error))
        happened = words.line(trace.strip().rpartition("\n")[2], REASON)
        message = f"{words.line(text, REASON)}: {happened}"
    elif "\n" in text.strip():
        trace = text
        message = words.line(words.block(text, len(text) + 1).strip().rpartition("\n")[2], REASON)
    else:
        return Line(event, words.line(text, 2 * REASON), fields)
    return Line(event, message, {**fields, "exception": _shortened(words.block(trace, len(trace) + 1))})


def fit(value: object, words: Redactor) -> Any:  # noqa: ANN401 - what JSON can hold
    """A value as a field can hold it."""
    match value:
        case None | bool() | int() | float():
            return value
        case dict():
            return {words.line(str(name), TEXT): fit(inside, words) for name, inside in value.items()}
        case list() | tuple():
            return [fit(inside, words) for inside in value]
        case _:
            return words.block(str(value), BLOCK)


def _shortened(trace: str) -> str:
    """A traceback of which the middle is left out when it is very long: its end says what happened."""
    return trace if len(trace) <= BLOCK else f"{trace[: BLOCK // 2]}\n[...]\n{trace[-BLOCK // 2 :]}"
