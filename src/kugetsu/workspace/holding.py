"""Who may take a task's files away, or begin to use them: one at a time, between tasks and between processes.

Whoever opens or makes a worktree holds it until it is theirs; whoever removes what a task left holds it, looks whether the
task is still over, and removes. So a task that is taken up again finds everything, or nothing, and never a part.
"""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from kugetsu.workspace.private import Private

_FIRST_WAIT: Final = 0.005
_LONGEST_WAIT: Final = 0.2
_SUFFIX: Final = ".lock"


@asynccontextmanager
async def held(private: Private, *, needed: bool = False) -> AsyncIterator[None]:
    """Hold what belongs to a task while the block runs; waits for whoever does.

    Args:
        private: whose.
        needed: raise when the machine has no such locks. Else the block runs all the same: without locks nothing is
            ever removed.

    Raises:
        OSError: see `needed`.
    """
    path = _lock_of(private)
    descriptor: int | None = None
    try:
        descriptor = await _wait_for(path)
    except OSError:
        if needed:
            raise
    try:
        yield
    finally:
        if descriptor is not None:
            release(path, descriptor)


def take(path: Path) -> int | None:
    """Lock a file, which is made when it is missing; None when somebody else has it.

    Raises:
        OSError: the machine refused.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_the_same(path, descriptor):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # whoever had it has removed it


def release(path: Path, descriptor: int) -> None:
    """Give back what `take` returned. The file goes; one that a killed process left does no harm."""
    with contextlib.suppress(OSError):
        path.unlink()
    os.close(descriptor)


def _lock_of(private: Private) -> Path:
    return private.repository.with_name(f".{private.repository.name}{_SUFFIX}")


async def _wait_for(path: Path) -> int:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    wait = _FIRST_WAIT
    while (descriptor := take(path)) is None:
        await asyncio.sleep(wait)
        wait = min(wait * 2, _LONGEST_WAIT)
    return descriptor


def _is_the_same(path: Path, descriptor: int) -> bool:
    try:
        named = path.stat()
    except FileNotFoundError:
        return False
    opened = os.fstat(descriptor)
    return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)
