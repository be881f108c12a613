"""How a worker shows the others on its machine that it lives, and how they call it: one named pipe, held locked.

The kernel lets go of the lock when the process ends, however it ends; no process id is ever taken for another's.
"""

import asyncio
import contextlib
import errno
import fcntl
import math
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

from kugetsu.errors import RecordError
from kugetsu.protocols import WorkerInfo

_MACHINE_ID: Final = Path("/etc/machine-id")
_CALL_SECONDS: Final = 0.02
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


@cache
def this_host() -> str:
    """The machine and its boot: what runs elsewhere, or ran before the last start, cannot be seen from here."""
    return f"{_first_line(_MACHINE_ID) or os.uname().nodename}/{_first_line(_BOOT_ID)}"


def _first_line(path: Path) -> str:
    try:
        return path.read_text().partition("\n")[0].strip()
    except OSError:
        return ""


class Presences:
    """The presences of all workers of one state directory on this machine."""

    def __init__(self, home: Path) -> None:
        self._directory = home / "workers"
        self._called_at = -math.inf
        self._calling: asyncio.TimerHandle | None = None

    @contextmanager
    def show(self, worker: str, on_call: Callable[[], None]) -> Iterator[None]:
        """Let others see that this process is the worker, and hear when it is called, while the block runs.

        Raises:
            RecordError: the machine refused.
        """
        path, loop = self._directory / worker, asyncio.get_running_loop()
        unready = path.with_name(f".{worker}")
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.mkfifo(unready, 0o600)
            pipe = os.open(unready, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.flock(pipe, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unready.rename(path)  # whoever sees the name sees the lock
        except OSError as error:
            raise RecordError(f"cannot make {path}: {error.strerror}", fix="look at the state directory") from error
        try:
            loop.add_reader(pipe, _answer, pipe, on_call)
            yield
        finally:
            loop.remove_reader(pipe)
            with contextlib.suppress(OSError):
                path.unlink()
            os.close(pipe)

    def is_gone(self, worker: WorkerInfo) -> bool:
        """Whether a worker is known to be dead. False for one on another machine: nobody can know."""
        if worker.host.partition("/")[0] != this_host().partition("/")[0]:
            return False
        return worker.host != this_host() or not self._lives(worker.id)

    def sweep(self) -> None:
        """Remove what dead workers left. Never raises."""
        with contextlib.suppress(OSError):
            for path in list(self._directory.iterdir()):
                if not path.name.startswith(".") and not self._lives(path.name):
                    path.unlink()

    def call_all(self) -> None:
        """Tell every living worker to look at the queue now. Never raises: they look by themselves after a while.

        Who calls again at once, in an event loop, is heard a moment later, once for all calls of that moment.
        """
        wait = self._called_at + _CALL_SECONDS - time.monotonic()
        if wait <= 0:
            self._call_now()
        elif self._calling is None:
            try:
                self._calling = asyncio.get_running_loop().call_later(wait, self._call_now)
            except RuntimeError:
                self._call_now()

    def _call_now(self) -> None:
        self._calling = None
        self._called_at = time.monotonic()
        with contextlib.suppress(OSError):
            for path in list(self._directory.iterdir()):
                _call(path)

    def _lives(self, worker: str) -> bool:
        try:
            pipe = os.open(self._directory / worker, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        try:
            fcntl.flock(pipe, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno in {errno.EWOULDBLOCK, errno.EACCES}
        finally:
            os.close(pipe)
        return False


def _answer(pipe: int, on_call: Callable[[], None]) -> None:
    with contextlib.suppress(OSError):
        os.read(pipe, 4096)
    on_call()


def _call(path: Path) -> None:
    with contextlib.suppress(OSError):
        pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if stat.S_ISFIFO(os.fstat(pipe).st_mode):
                os.write(pipe, b"!")
        finally:
            os.close(pipe)
