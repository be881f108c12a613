"""Small files of the kernel: read in microseconds, and never trusted to be there or to make sense."""

import os
import re
from typing import Final, TypeVar

Number = TypeVar("Number", int, float)

_MOST_BYTES: Final = 64 * 1024
_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK

_NUMBER: Final = re.compile(rb"\s*([0-9]{1,20})\s*")
_SHARE: Final = re.compile(rb"^some avg10=([0-9]{1,3}(?:\.[0-9]{1,6})?) ", re.MULTILINE)


def read(path: str) -> bytes:
    """The beginning of a file, all of a small one; empty when it cannot be read."""
    try:
        descriptor = os.open(path, _FLAGS)
    except (OSError, ValueError):  # ValueError: the name holds a NUL
        return b""
    try:
        return os.read(descriptor, _MOST_BYTES)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def number(path: str) -> int | None:
    """The number that a file holds; None for anything else, also for `max` and negative ones."""
    found = _NUMBER.fullmatch(read(path))
    return int(found[1]) if found else None


def pressure(path: str) -> float | None:
    """Percent of the last ten seconds in which some process stood still, in the format of the kernel's PSI.

    https://docs.kernel.org/accounting/psi.html
    """
    found = _SHARE.search(read(path))
    return float(found[1]) if found else None


def least(*values: Number | None) -> Number | None:
    """The smallest of those that are known."""
    return min((value for value in values if value is not None), default=None)


def most(*values: Number | None) -> Number | None:
    """The largest of those that are known."""
    return max((value for value in values if value is not None), default=None)
