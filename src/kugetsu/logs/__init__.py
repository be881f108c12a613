"""The log of the program itself: one line for each change of a task, without secrets.

`open_log` begins it. Whoever has something to say leaves it in a queue; threads put it into words, take out secrets and
write it, so that neither a full disk nor a stuck terminal ever holds up an agent.
"""

from kugetsu.logs.entry import Entry, Line, Where
from kugetsu.logs.levels import LEVELS, LevelFile
from kugetsu.logs.lines import TaskLogger, level_of
from kugetsu.logs.redaction import Redactor, known_secrets
from kugetsu.logs.setup import LOG_FILE, Log, open_log

__all__ = [
    "LEVELS",
    "LOG_FILE",
    "Entry",
    "LevelFile",
    "Line",
    "Log",
    "Redactor",
    "TaskLogger",
    "Where",
    "known_secrets",
    "level_of",
    "open_log",
]
