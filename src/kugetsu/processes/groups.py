"""Control groups of Linux: directories that hold processes to limits and know all of them, however they hide.

One group of ours is a directory of the same name in each hierarchy that we use: one in version 2, one for each controller in
version 1. Files and counters: https://docs.kernel.org/admin-guide/cgroup-v2.html and `cgroup-v1/` beside it.
"""

import contextlib
import errno
import os
import signal
from typing import Final, Literal, NamedTuple

import msgspec

from kugetsu.processes.census import signal_all
from kugetsu.processes.limits import CommandLimits

Version = Literal[1, 2]

V2: Final = 2
"""The version that new machines have."""

CONTROLLERS: Final = ("memory", "pids", "cpu")
"""What limits need."""

SELF: Final = "program.self"
"""The group of this program itself, where version 2 wants it to have one. No task is called so."""

_SHARES: Final = 1024
"""What version 1 calls a weight of 100."""

_PIECE: Final = 65_536

_NEAR: Final = 0.9
"""Share of a limit at which it may be out of reach of what is asked for next."""

_CRUMBS: Final = 2 * 1024 * 1024
_CRUMBS_SHARE: Final = 0.05
"""Memory, or share of a limit of it, that may stay charged to a group that serves another command."""


class Place(NamedTuple):
    """A group in one hierarchy.

    Attributes:
        path: its directory.
        version: of the hierarchy.
        controllers: those that limit its processes.
    """

    path: str
    version: Version
    controllers: tuple[str, ...] = ()


class Counts(msgspec.Struct, frozen=True):
    """What happened in a group so far.

    Attributes:
        killed: processes that were killed for want of memory.
        full: whether the group's own limit of memory was reached.
        refused: how often a process could not be started because there were too many.
        crowded: whether they were too many for the group, and not for one around it.
    """

    killed: int = 0
    full: bool = False
    refused: int = 0
    crowded: bool = False


class Group:
    """A group in one or more hierarchies. The directories need not exist.

    Attributes:
        places: where it is.
        over: whether the command that it was made for is over.
    """

    def __init__(self, places: tuple[Place, ...]) -> None:
        self.places = places
        self.over = False
        self._limits = CommandLimits()
        self._ended = False

    def child(self, name: str) -> "Group":
        """The group of that name within this one."""
        return Group(tuple(Place(f"{path}/{name}", version, controllers) for path, version, controllers in self.places))

    def names(self) -> set[str]:
        """Of the groups within this one."""
        return {name for place in self.places for name in _directories(place.path)}

    @property
    def joins(self) -> tuple[str, ...]:
        """The files to which a process writes 0 to be in the group."""
        return tuple(f"{place.path}/cgroup.procs" for place in self.places)

    def make(self, *, parent: bool = False) -> None:
        """Make the directories, unless they exist; a parent passes its controllers on to the groups within.

        Raises:
            OSError: the machine refused.
        """
        for path, version, controllers in self.places:
            with contextlib.suppress(FileExistsError):
                os.mkdir(path)  # noqa: PTH102 - some microseconds less for each command
                if parent and version == V2 and controllers:
                    enable(path, controllers)

    def limit(self, limits: CommandLimits) -> None:
        """Hold all processes of the group together to limits.

        Raises:
            OSError: the machine refused.
        """
        self._limits = limits
        for path, version, controllers in self.places:
            if limits.memory_bytes and "memory" in controllers:
                _limit_memory(path, version, limits.memory_bytes)
            if limits.processes and "pids" in controllers:
                write(f"{path}/pids.max", limits.processes)
            if "cpu" in controllers:
                _weigh(path, version, limits.cpu_weight)

    def counts(self) -> Counts:
        """What happened so far; nothing for a group that is gone."""
        killed, full, refused, crowded = 0, False, 0, False
        for place in self.places:
            if "memory" in place.controllers:
                with contextlib.suppress(OSError):
                    killed = _killed(place)
                    full = killed > 0 and self._was_full(place)
            if "pids" in place.controllers:
                with contextlib.suppress(OSError):
                    refused = _number(f"{place.path}/pids.events", "max")
                    crowded = refused > 0 and self._was_crowded(place, otherwise=True)
        return Counts(killed, full, refused, crowded)

    @property
    def exists(self) -> bool:
        """Whether all its directories are there."""
        return all(os.path.isdir(place.path) for place in self.places)  # noqa: PTH112 - as above

    @property
    def pristine(self) -> bool:
        """Whether it serves another command like a new one: nothing is in it, or charged to it, or would have to be told.

        What cannot be read is not pristine.
        """
        try:
            return not self._ended and self._is_empty() and all(self._is_clean(place) for place in self.places)
        except (OSError, ValueError):
            return False

    def _is_empty(self) -> bool:
        # What got into one of its directories is in all of them.
        for place in self.places:
            if "pids" in place.controllers:
                return _number(f"{place.path}/pids.current") == 0  # counts zombies, too
        return not _read(f"{self.places[0].path}/cgroup.procs")

    def _is_clean(self, place: Place) -> bool:
        """Whether neither memory nor a counter of a place would be blamed on the next command."""
        if "memory" in place.controllers:
            if most := self._limits.memory_bytes:
                # Files in memory stay charged, those of a disk until they give way, those of a tmpfs until they are removed.
                usage = _number(f"{place.path}/{'memory.current' if place.version == V2 else 'memory.usage_in_bytes'}")
                if usage > max(_CRUMBS, most * _CRUMBS_SHARE) or self._was_full(place):
                    return False
            if _killed(place):
                return False
        if "pids" in place.controllers:
            return not (_number(f"{place.path}/pids.events", "max") or self._was_crowded(place, otherwise=False))
        return True

    def _was_full(self, place: Place) -> bool:
        """Whether the group reached its own limit of memory."""
        if place.version == V2:
            return _number(f"{place.path}/memory.events", "oom") > 0
        # The counter of failures stands still in new kernels.
        most = self._limits.memory_bytes
        return bool(most) and _number(f"{place.path}/memory.max_usage_in_bytes") > most * _NEAR

    def _was_crowded(self, place: Place, *, otherwise: bool) -> bool:
        """Whether the group reached its own limit of processes; what to take where it is not known, before Linux 6.1."""
        if not self._limits.processes:
            return False
        try:
            return _number(f"{place.path}/pids.peak") > self._limits.processes * _NEAR
        except FileNotFoundError:
            return otherwise

    def members(self) -> set[int]:
        """Its processes, without those of the groups within and without this one."""
        # A 0 stands for a process of another PID namespace, which cannot be signalled from here.
        return {pid for place in self.places for pid in _pids(place.path)} - {0, os.getpid()}

    def remove(self) -> bool:
        """Remove the directories; whether they are gone. Those with processes or groups in them stay."""
        gone = True
        for place in self.places:
            try:
                os.rmdir(place.path)  # noqa: PTH106 - some microseconds less for each command
            except OSError as error:
                gone = gone and error.errno == errno.ENOENT
        return gone

    def end(self) -> bool:
        """Kill everything in the group and in those within, and remove them; whether all is gone. Call it until it is."""
        if self.remove():
            return True
        self._ended = True
        for place in self.places:
            with contextlib.suppress(OSError):
                write(f"{place.path}/pids.max", 0)  # nothing is born any more
            with contextlib.suppress(OSError):
                write(f"{place.path}/cgroup.kill", 1)  # version 2, Linux 5.14
        for name in self.names():
            self.child(name).end()
        signal_all(self.members(), signal.SIGKILL)
        return self.remove()


def enable(path: str, controllers: tuple[str, ...]) -> None:
    """Have controllers of version 2 limit the groups within a group.

    Raises:
        OSError: the machine refused.
    """
    write(f"{path}/cgroup.subtree_control", " ".join(f"+{name}" for name in controllers))


def write(path: str, value: int | str) -> None:
    """Write to one of the kernel's files.

    Raises:
        OSError: the kernel refused.
    """
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(file, str(value).encode())
    finally:
        os.close(file)


def words(path: str) -> list[str]:
    """What stands in one of the kernel's files; nothing when it cannot be read."""
    try:
        return _read(path)
    except OSError:
        return []


def _read(path: str) -> list[str]:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = b""
        while piece := os.read(file, _PIECE):
            content += piece
        return content.decode().split()
    finally:
        os.close(file)


def _limit_memory(path: str, version: Version, size: int) -> None:
    if version == V2:
        write(f"{path}/memory.max", size)
        swap, most = "memory.swap.max", 0
    else:
        write(f"{path}/memory.limit_in_bytes", size)
        swap, most = "memory.memsw.limit_in_bytes", size
    # Not there when swap is not accounted for.
    with contextlib.suppress(OSError):
        write(f"{path}/{swap}", most)


def _weigh(path: str, version: Version, weight: int) -> None:
    if version == V2:
        write(f"{path}/cpu.weight", weight)
    else:
        write(f"{path}/cpu.shares", max(2, weight * _SHARES // 100))


def _killed(place: Place) -> int:
    """How many processes were killed for want of memory, be it that of a group around this one."""
    file = "memory.events" if place.version == V2 else "memory.oom_control"
    return _number(f"{place.path}/{file}", "oom_kill")


def _pids(path: str) -> list[int]:
    return [int(pid) for pid in words(f"{path}/cgroup.procs")]


def _directories(path: str) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _number(path: str, key: str = "") -> int:
    """The number in a file, or the one after a key; 0 when it says none.

    Raises:
        OSError: it cannot be read.
    """
    found = _read(path)
    if key:
        found = found[found.index(key) + 1 :] if key in found else []
    return int(found[0]) if found else 0
