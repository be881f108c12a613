"""A little room that is kept for the moment when the disk is full: without any, not even the records can be read.

SQLite needs 32 KB for the index of its log before it reads a database that nobody else has open.
"""

import contextlib
import os
import shutil
from pathlib import Path
from typing import Final

_NAME: Final = "ballast"
_BYTES: Final = 256 * 1024
_FULL: Final = 1024 * 1024
"""Free bytes below which a disk counts as full."""


def keep_ballast(home: Path) -> None:
    """Take the room, unless it is taken or the disk is full. Never raises."""
    with contextlib.suppress(OSError):
        if shutil.disk_usage(home).free < 2 * _FULL:
            return
        descriptor = os.open(home / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(descriptor).st_size < _BYTES:
                os.posix_fallocate(descriptor, 0, _BYTES)
        finally:
            os.close(descriptor)


def drop_ballast(home: Path) -> None:
    """Give the room back if the disk is full. Never raises."""
    with contextlib.suppress(OSError):
        if shutil.disk_usage(home).free < _FULL:
            (home / _NAME).unlink()
