"""Text of models, tools and repositories, made fit for a terminal: it may hold anything, escape sequences first of all."""

import re
from typing import Final

LONGEST_LINE: Final = 200
"""Characters of a text that is shown on one line."""

_READ: Final = 2_000
"""Characters of a text that are looked at to make one line of it."""

_SEQUENCES: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\|$)|[ -/]*[0-~])")
"""Escape sequences as ECMA-48 defines them: control sequences, strings (titles, links), and short ones."""

_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and line end
    "\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # marks that reorder or hide text
    "\ud800-\udfff\ufffe\uffff\U000e0000-\U000e0fff]"  # no characters, and invisible tags
)
_SPACES: Final = re.compile(r"[\s\u2028\u2029]+")


def block(text: str) -> str:
    """The text with its lines, without anything that a terminal would obey; what is replaced shows as U+FFFD."""
    text = _SEQUENCES.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return _UNSEEN.sub("\ufffd", text.replace("\u2028", "\n").replace("\u2029", "\n")).expandtabs(4)


def one_line(text: str, longest: int = LONGEST_LINE) -> str:
    """The beginning of a text on one line, without anything that a terminal would obey."""
    line = _SPACES.sub(" ", block(text[:_READ])).strip()
    return line if len(line) <= longest and len(text) <= _READ else f"{line[: longest - 1].rstrip()}…"


def last_line(text: str) -> str:
    """The last line of a text that is not empty."""
    lines = [line for line in block(text[-_READ:]).splitlines() if line.strip()]
    return one_line(lines[-1]) if lines else ""


def first_line(text: str) -> str:
    """The first line of a text that is not empty."""
    lines = [line for line in block(text[:_READ]).splitlines() if line.strip()]
    return one_line(lines[0]) if lines else ""
