"""One daemon for one state directory: a second one is refused by the name and process of the first."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from kugetsu.config.daemon import LOCK_NAME, Holder, read_holder, show_lock, write_holder
from kugetsu.errors import RecordError, StateConflictError


class SoleDaemon:
    """The only daemon of a state directory, for as long as its block runs.

    Attributes:
        holder: what it says of itself.
    """

    def __init__(self, descriptor: int, holder: Holder) -> None:
        self._descriptor = descriptor
        self.holder = holder

    def announce(self, url: str, token: str) -> None:
        """Tell callers of this machine where it listens, and what lets them in.

        Args:
            url: as `http://127.0.0.1:8787`.
            token: of this start; whoever can read the state directory may use it.

        Raises:
            RecordError: it cannot be written.
        """
        self.holder = msgspec.structs.replace(self.holder, url=url, token=token)
        try:
            write_holder(self._descriptor, self.holder)
        except OSError as error:
            raise RecordError(f"cannot write {LOCK_NAME}: {error.strerror}", fix="is the disk full?") from error


@contextmanager
def sole_daemon(home: Path, name: str, now: float) -> Iterator[SoleDaemon]:
    """Be the only daemon of a state directory while the block runs. The lock goes with the process, however it ends.

    Args:
        home: the state directory; must be there.
        name: of this program.
        now: seconds since the epoch.

    Raises:
        StateConflictError: another one is; the message names it.
        RecordError: the machine refused.
    """
    path = home / LOCK_NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise RecordError(f"cannot open {path}: {error.strerror}", fix="look at the state directory") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateConflictError(
                f"{_name_of(read_holder(descriptor))} works on {home} already",
                fix="stop it first, raise its `queue.slots`, or set KUGETSU_HOME to another directory",
            ) from None
        except OSError as error:
            raise RecordError(f"cannot lock {path}: {error.strerror}", fix="use a local file system") from error
        holder = Holder(name, os.getpid(), now)
        with contextlib.suppress(OSError):  # a full disk: the lock holds all the same, without a name
            write_holder(descriptor, holder)
            show_lock(descriptor)
        try:
            yield SoleDaemon(descriptor, holder)
        finally:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _name_of(holder: Holder | None) -> str:
    return f"{holder.name} (process {holder.pid})" if holder else "another daemon"
