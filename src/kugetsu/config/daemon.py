"""Who works on a state directory: what its daemon says of itself, and how others find it.

Two locks go with the daemon's process, however it ends. The first (`flock`) keeps a second daemon out. The second (an open
file description lock) is for whoever looks: the kernel tells that it is held without anybody taking it, so that looking
never stands in the way of a daemon that starts. The file is true of whoever holds the second one.
"""

import errno
import fcntl
import os
import struct
import time
from pathlib import Path
from typing import Final

import msgspec

from kugetsu.errors import RecordError

LOCK_NAME: Final = "serve.lock"
"""Name of the file that a daemon holds locked, in the state directory."""

_MOST_BYTES: Final = 4096
_LOOKS: Final = 20
_LOOK_SECONDS: Final = 0.01

# struct flock of fcntl(2): type, whence, start, length, process; the last must be 0 for these locks.
_FLOCK: Final = "hhqqi0q"


class Holder(msgspec.Struct, frozen=True):
    """Who holds the lock; that it is held is the kernel's word.

    Attributes:
        name: of the program.
        since: seconds since the epoch.
        url: where it listens; empty while it does not.
        token: lets callers of this machine who can read the file in; made anew at each start.
    """

    name: str
    pid: int
    since: float
    url: str = ""
    token: str = ""

    def __repr__(self) -> str:
        """Shows no token."""
        return f"Holder(name={self.name!r}, pid={self.pid}, since={self.since}, url={self.url!r})"


def running_daemon(home: Path) -> Holder | None:
    """Who works on a state directory now; None when nobody does. Takes no lock, and never waits for one.

    Raises:
        RecordError: its lock cannot be read, or says nothing of use.
    """
    path = home / LOCK_NAME
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordError(f"cannot open {path}: {error.strerror}", fix="look at the state directory") from error
    try:
        for _ in range(_LOOKS):
            if not _is_shown(descriptor):
                return None
            # It may be written just now.
            if holder := read_holder(descriptor):
                return holder
            time.sleep(_LOOK_SECONDS)
    finally:
        os.close(descriptor)
    raise RecordError(f"a daemon works on {home}, but {path} does not say which", fix="start it again")


def read_holder(descriptor: int) -> Holder | None:
    """What an open lock file says of its holder; None when it says nothing of use. Never raises."""
    try:
        return msgspec.json.decode(os.pread(descriptor, _MOST_BYTES, 0), type=Holder)
    except (OSError, msgspec.MsgspecError, UnicodeError):
        return None


def write_holder(descriptor: int, holder: Holder) -> None:
    """Say in the locked file who holds it; its user alone may read it from now on.

    Raises:
        OSError: the disk is full, or worse.
    """
    os.fchmod(descriptor, 0o600)
    # In one write, always of the same length: whoever reads meanwhile finds the old or the new.
    os.pwrite(descriptor, msgspec.json.encode(holder).ljust(_MOST_BYTES), 0)
    os.ftruncate(descriptor, _MOST_BYTES)


def show_lock(descriptor: int) -> None:
    """Let others see that the daemon lives. Where the kernel has no such locks nobody can, and nothing else is lost.

    Raises:
        OSError: the machine refused.
    """
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP}:
            raise


def _is_shown(descriptor: int) -> bool:
    asked = struct.pack(_FLOCK, fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
    try:
        told = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, asked)
    except OSError:  # no such locks here
        return False
    return bool(struct.unpack(_FLOCK, told)[0] != fcntl.F_UNLCK)
