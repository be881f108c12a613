"""One daemon for one state directory: a second one is refused by the name and process of the first."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from kugetsu.errors import RecordError, StateConflictError

LOCK_NAME: Final = "serve.lock"

_MOST_BYTES: Final = 4096


class Holder(msgspec.Struct, frozen=True):
    """Who holds the lock, for people; that it is held is the kernel's word.

    Attributes:
        since: seconds since the epoch.
    """

    name: str
    pid: int
    since: float


@contextmanager
def sole_daemon(home: Path, name: str, now: float) -> Iterator[None]:
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
                f"{_holder(descriptor)} works on {home} already",
                fix="stop it first, raise its `queue.slots`, or set KUGETSU_HOME to another directory",
            ) from None
        except OSError as error:
            raise RecordError(f"cannot lock {path}: {error.strerror}", fix="use a local file system") from error
        with contextlib.suppress(OSError):  # a full disk: the lock holds all the same, without a name
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, msgspec.json.encode(Holder(name, os.getpid(), now)), 0)
        yield
    finally:
        os.close(descriptor)


def _holder(descriptor: int) -> str:
    try:
        holder = msgspec.json.decode(os.pread(descriptor, _MOST_BYTES, 0), type=Holder)
    except (OSError, msgspec.MsgspecError, UnicodeError):
        return "another daemon"
    return f"{holder.name} (process {holder.pid})"
