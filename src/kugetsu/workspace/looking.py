"""Telling without git that no file of a tree has changed, by what the file system says of each.

Whatever is done to a file, its time of change (ctime) is set, and no program can set it back. Only what is changed in
the very tick of the clock in which it was looked at may keep its time; so a look at files that young proves nothing
later (the rule of git, see racy-git.txt, in the finest time that the file system has).
"""

import hashlib
import os
import stat
import struct
import time
from itertools import product
from pathlib import Path
from typing import Final

import msgspec

from kugetsu.workspace.reading import beginning

MOST_ENTRIES: Final = 2500
"""A look takes about 2 microseconds for each file; beyond this git, which is a process, takes no longer."""

_INDEX_HEAD: Final = struct.Struct(">4sII")

_MARGIN: Final = 100_000_000
"""Nanoseconds that the time in files may be behind the clock of the machine: some ticks."""

_REPOSITORY: Final = frozenset(bytes(name) for name in product(b".", b"gG", b"iI", b"tT"))


class Look(msgspec.Struct, frozen=True):
    """What a tree looked like.

    Attributes:
        files: a digest of every file.
        index: the same for the index of the worktree.
        certain: whether a later look that is the same proves that nothing has changed.
        attributes: the files that are named `.gitattributes`.
        entries: how many files and directories there are.
    """

    files: bytes
    index: bytes
    certain: bool
    attributes: tuple[bytes, ...] = ()
    entries: int = 0

    def proves(self, later: "Look | None") -> bool:
        """Whether everything is as it was, when it looks like that now."""
        return self.certain and later is not None and (later.files, later.index) == (self.files, self.index)


class _CannotTellError(Exception):
    """A look would not tell everything, or take too long."""


class _Looking:
    """One look, in progress."""

    def __init__(self, said: bytes, device: int, since: int, most: int) -> None:
        self._digest = hashlib.blake2b(said, digest_size=16)
        self._device = device
        self._since = since
        self._most = most
        self.entries = 0
        self.youngest = 0
        self.attributes: list[bytes] = []

    @property
    def certain(self) -> bool:
        return self.youngest < self._since

    def digest(self) -> bytes:
        return self._digest.digest()

    def tree(self, top: bytes) -> None:
        """Look at all files below a directory but its own `.git`."""
        if os.lstat(top).st_dev != self._device:
            raise _CannotTellError
        pending = [top]
        while pending:
            folder = pending.pop()
            lines = [b"\n", folder]
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name in _REPOSITORY:
                        # What git makes of another repository is not in its files alone.
                        if folder != top or entry.name != b".git":
                            raise _CannotTellError
                        continue
                    self.entries += 1
                    found = entry.stat(follow_symlinks=False)
                    if self.entries > self._most or found.st_dev != self._device:
                        raise _CannotTellError
                    if stat.S_ISDIR(found.st_mode):
                        pending.append(entry.path)
                        lines.append(b"\0%b/" % entry.name)
                    else:
                        lines.append(b"\0%b\0%b" % (entry.name, self._line(found)))
                        if entry.name == b".gitattributes":
                            self.attributes.append(entry.path)
            self._digest.update(b"".join(lines))

    def _line(self, found: os.stat_result) -> bytes:
        self.youngest = max(self.youngest, found.st_ctime_ns)
        return _line(found)

    def file(self, path: Path) -> bytes:
        """Look at one file beside the stamp."""
        try:
            found = path.stat()
        except FileNotFoundError:
            return b""
        return self._line(found)


def look_at(top: Path, index: Path, stamp: Path | None, said: bytes = b"", most: int = MOST_ENTRIES) -> Look | None:
    """Look at a tree.

    Args:
        top: its top; what is in the `.git` there does not count.
        index: the index of the worktree.
        stamp: a file on the same file system that is written to tell its time; without one the clock of this machine
            tells it, and what is hardly older than that is too young.
        said: what the rules say by which git reads the files.
        most: how many files and directories are looked at.

    Returns:
        None when it cannot be told: there are too many, or repositories inside, or what cannot be read.
    """
    try:
        if _in_index(index) > most:
            return None
        device, since = _time(stamp) if stamp else (top.stat().st_dev, time.time_ns() - _MARGIN)
        looking = _Looking(said, device, since, most)
        marked = looking.file(index)
        looking.tree(os.fsencode(top))
    except (_CannotTellError, OSError):
        return None
    return Look(looking.digest(), marked, looking.certain, tuple(looking.attributes), looking.entries)


def file_mark(path: Path) -> bytes:
    """What tells a file from its earlier self, as a look has it of an index."""
    try:
        return _line(path.stat())
    except OSError:
        return b""


def _line(found: os.stat_result) -> bytes:
    times = (found.st_mtime_ns, found.st_ctime_ns)
    return b"%d %d %d %d %d" % (found.st_mode, found.st_size, *times, found.st_ino)


def _in_index(path: Path) -> int:
    """How many files an index names; see gitformat-index(5)."""
    head = beginning(path, _INDEX_HEAD.size) or b""
    return int(_INDEX_HEAD.unpack(head)[2]) if len(head) == _INDEX_HEAD.size else 0


def _time(stamp: Path) -> tuple[int, int]:
    """The number of its file system, and the time there."""
    stamp.touch()
    found = stamp.stat()
    return found.st_dev, found.st_mtime_ns
