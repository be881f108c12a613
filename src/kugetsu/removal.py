"""Removing directory trees that agents have worked in."""

import asyncio
import contextlib
import os
import shutil
import stat
from pathlib import Path


async def remove_tree(path: Path) -> bool:
    """Remove a directory with all it holds, read-only directories included; links are not followed.

    Returns:
        Whether it is gone. What could not be removed stays.
    """
    return await asyncio.to_thread(_remove, path)


def _remove(path: Path) -> bool:
    for attempt in (_rmtree, _unlock, _rmtree):
        with contextlib.suppress(OSError):
            attempt(path)
        if not os.path.lexists(path):
            return True
    return False


def _rmtree(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path)


def _unlock(path: Path) -> None:
    """Give the owner every right on every directory, as caches of downloaded modules take it away."""
    pending = [str(path)]
    while pending:
        folder = pending.pop()
        with contextlib.suppress(OSError):
            os.chmod(folder, stat.S_IRWXU)  # noqa: PTH101 - plain strings, many of them
            with os.scandir(folder) as entries:
                pending += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
