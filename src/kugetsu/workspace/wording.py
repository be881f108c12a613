"""What messages may show of names: no byte that a terminal would obey."""

import os
from pathlib import Path


def printable(name: str | bytes | Path) -> str:
    """A path or name as it can stand in a message: undecodable bytes and control characters become `?`."""
    text = os.fsencode(name).decode(errors="replace").replace("\N{REPLACEMENT CHARACTER}", "?")
    return "".join(letter if letter.isprintable() else "?" for letter in text)
