"""What programs print for a terminal, as plain text."""

import re
from typing import Final

_ESCAPES: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC and other strings: titles, links
    r"|\x1b[ -/]+[0-~]"  # character sets
    r"|\x1b[0-~]?"  # all others
)
"""Escape sequences of ECMA-48."""

_OVERSTRUCK: Final = re.compile(r"[^\n\x08]\x08")
"""A character that is printed over, as manual pages make bold and underlined ones."""

_CONTROLS: Final = dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)])
"""All control characters but tabs and line feeds."""


def without_controls(text: str) -> str:
    """Drop control characters other than tabs and line feeds."""
    return text.translate(_CONTROLS) if not text.isprintable() else text


def plain(text: str) -> str:
    """Drop escape sequences and control characters; of a line that was printed over, keep what was last to be seen."""
    if text.isprintable():
        return text
    text = _OVERSTRUCK.sub("", _ESCAPES.sub("", text.replace("\r\n", "\n")))
    if "\r" in text:
        text = "\n".join([_last_state(line) for line in text.split("\n")])
    return without_controls(text)


def _last_state(line: str) -> str:
    return line.rstrip("\r").rpartition("\r")[2]
