"""Text of models, tools and repositories as a line of the log may hold it: nothing in it breaks a line or is obeyed."""

import re
from typing import Final

_SEQUENCES: Final = re.compile(r"\x1b(?:\[[0-?]*+[ -/]*+[@-~]|[\]PX^_][^\x07\x1b]*+(?:\x07|\x1b\\|$))")
"""Escape sequences as ECMA-48 defines them: control sequences, and strings such as titles and links."""

_LINE_ENDS: Final = re.compile("\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
"""Everything that some program takes for the end of a line, beside the line feed."""

_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f"  # control characters but tab and line end
    "\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # marks that reorder or hide text
    "\ud800-\udfff\ufffe\uffff\U000e0000-\U000e0fff]"  # no characters, and invisible tags
)


def plain(text: str) -> str:
    """The text with its lines, without anything that a terminal would obey; what is replaced shows as U+FFFD."""
    if text.isascii() and text.isprintable():
        return text
    text = _LINE_ENDS.sub("\n", _SEQUENCES.sub("", text) if "\x1b" in text else text)
    return _UNSEEN.sub("\ufffd", text)


def joined(text: str) -> str:
    """The text on one line: any white space becomes one space."""
    return " ".join(text.split())
