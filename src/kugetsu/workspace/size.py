"""How much of the disk files take."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_BLOCK: Final = 512
"""Bytes of a block as stat(2) counts them."""


def size_of(paths: Iterable[Path]) -> int:
    """The bytes that files and directories take on the disk, with all they hold. Never raises; it may take a while.

    Links are not followed. A file of several names counts once. What cannot be read counts nothing.
    """
    seen: set[tuple[int, int]] = set()
    total, pending = 0, [os.fspath(path) for path in paths]
    total += sum(_blocks(path, seen) for path in pending)
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    total += _blocks(entry.path, seen)
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
        except OSError:
            continue
    return total


def _blocks(path: str, seen: set[tuple[int, int]]) -> int:
    try:
        found = os.lstat(path)
    except OSError:
        return 0
    if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode):
        name = (found.st_dev, found.st_ino)
        if name in seen:
            return 0
        seen.add(name)
    return found.st_blocks * _BLOCK
