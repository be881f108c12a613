"""A lock between tasks and between processes, waited for without blocking the event loop."""

import asyncio
import fcntl
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

_COUNTS: Final = struct.Struct("<QQ")
_FIRST_WAIT: Final = 0.005
_LONGEST_WAIT: Final = 0.2


class Refreshes:
    """Counts, in the lock's own file, how often what it guards was begun to be renewed, and which of these succeeded.

    So whoever waited while another renewed it need not do so again.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._seen = self._read()[0]

    @property
    def current(self) -> bool:
        """Whether a renewal that began after this object was made has succeeded."""
        return self._read()[1] > self._seen

    def begin(self) -> None:
        """A renewal begins. Only with the lock held."""
        begun, finished = self._read()
        self._write(begun + 1, finished)

    def succeed(self) -> None:
        """The renewal that was begun last has succeeded. Only with the lock held."""
        begun, _ = self._read()
        self._write(begun, begun)

    def _read(self) -> tuple[int, int]:
        begun, finished = _COUNTS.unpack(os.pread(self._descriptor, _COUNTS.size, 0).ljust(_COUNTS.size, b"\0"))
        return begun, finished

    def _write(self, begun: int, finished: int) -> None:
        os.pwrite(self._descriptor, _COUNTS.pack(begun, finished), 0)


@asynccontextmanager
async def locked(path: Path) -> AsyncIterator[Refreshes]:
    """Hold the lock of a file, which is made when it is missing and stays afterwards.

    Raises:
        OSError: the file cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        refreshes = Refreshes(descriptor)
        wait = _FIRST_WAIT
        while not take_lock(descriptor):
            await asyncio.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT)
        yield refreshes
    finally:
        os.close(descriptor)


def take_lock(descriptor: int) -> bool:
    """Take the lock of an open file for oneself alone, if nobody has it.

    Raises:
        OSError: its file system has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
