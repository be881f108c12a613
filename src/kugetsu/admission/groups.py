"""The control groups around this process: what containers and services leave of memory and processors.

https://docs.kernel.org/admin-guide/cgroup-v2.html and https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
"""

import os
import re
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec

from kugetsu.admission.files import number, pressure, read

_FILES_V2: Final = re.compile(rb"^(?:in)?active_file ([0-9]{1,20})$", re.MULTILINE)
_FILES_V1: Final = re.compile(rb"^total_(?:in)?active_file ([0-9]{1,20})$", re.MULTILINE)
_QUOTA_V2: Final = re.compile(rb"([0-9]{1,20}) ([0-9]{1,20})\s*")


class GroupMemory(msgspec.Struct, frozen=True):
    """Memory of one group that has a limit.

    Attributes:
        limit: bytes.
        available: bytes; what it holds of files counts, since that can be given up.
        pressure: percent, see `Machine.memory_pressure`.
    """

    limit: int
    available: int
    pressure: float | None = None


class Groups:
    """The groups that this process is in, from its own up to the outermost that can be seen.

    Args:
        proc: where `/proc` is.
        root: where `/sys/fs/cgroup` is.
    """

    def __init__(self, proc: str, root: str) -> None:
        self._membership = f"{proc}/self/cgroup"
        self._root = root
        self._text: bytes | None = None
        self._unified: list[str] = []
        self._memory: list[str] = []
        self._cpu: list[str] = []

    def look(self) -> None:
        """Find out where this process is now; it may have been moved."""
        text = read(self._membership)
        if text == self._text:
            return
        self._text = text
        paths = _memberships(text)
        root = self._root
        self._unified = _upwards(
            root if Path(f"{root}/cgroup.controllers").exists() else f"{root}/unified", paths.get("")
        )
        self._memory = _hierarchical(_upwards(f"{root}/memory", paths.get("memory")))
        self._cpu = _upwards(f"{root}/cpu", paths.get("cpu")) or _upwards(f"{root}/cpu,cpuacct", paths.get("cpu"))

    def memory(self, most: int) -> list[GroupMemory]:
        """Those of the groups whose limit is below `most` bytes."""
        found = [_unified_memory(group, most) for group in self._unified]
        found += [_old_memory(group, most) for group in self._memory]
        return [group for group in found if group]

    def cores(self) -> float | None:
        """How many processors' worth of time the groups leave; None for no limit."""
        shares = [_unified_cores(group) for group in self._unified] + [_old_cores(group) for group in self._cpu]
        return min((share for share in shares if share), default=None)


def _memberships(text: bytes) -> dict[str, str]:
    """Path of the group by controller; that of the unified hierarchy has an empty name."""
    paths: dict[str, str] = {}
    for line in os.fsdecode(text).splitlines():
        _, _, rest = line.partition(":")
        controllers, found, path = rest.partition(":")
        if found:
            paths.update(dict.fromkeys(controllers.split(","), path))
    return paths


def _upwards(base: str, path: str | None) -> list[str]:
    """Directories of a group and of those around it.

    Where a container shows its own part of the hierarchy only, the path begins further out than what can be seen.
    """
    if path is None or not os.path.isdir(base):  # noqa: PTH112 - as fast as may be
        return []
    parts = list(PurePosixPath(path).parts[1:])
    if ".." in parts or "\0" in path:
        parts = []
    while parts and not os.path.isdir("/".join([base, *parts])):  # noqa: PTH112 - as fast as may be
        del parts[0]
    return ["/".join([base, *parts[:length]]) for length in range(len(parts), -1, -1)]


def _hierarchical(groups: list[str]) -> list[str]:
    """Without those around that do not count what is in them (version 1 with `use_hierarchy` off)."""
    for index, group in enumerate(groups[1:], 1):
        if number(f"{group}/memory.use_hierarchy") == 0:
            return groups[:index]
    return groups


def _unified_memory(group: str, most: int) -> GroupMemory | None:
    limits = (number(f"{group}/memory.max"), number(f"{group}/memory.high"))
    limit = min((found for found in limits if found is not None), default=None)
    if limit is None or limit >= most:
        return None
    return _memory(group, limit, number(f"{group}/memory.current"), _FILES_V2)


def _old_memory(group: str, most: int) -> GroupMemory | None:
    limit = number(f"{group}/memory.limit_in_bytes")
    if limit is None or limit >= most:
        return None
    return _memory(group, limit, number(f"{group}/memory.usage_in_bytes"), _FILES_V1)


def _memory(group: str, limit: int, used: int | None, files: re.Pattern[bytes]) -> GroupMemory:
    if used is None:
        return GroupMemory(limit, limit)
    reclaimable = sum(map(int, files.findall(read(f"{group}/memory.stat"))))
    available = min(max(limit - used + reclaimable, 0), limit)
    return GroupMemory(limit, available, pressure(f"{group}/memory.pressure"))


def _unified_cores(group: str) -> float | None:
    found = _QUOTA_V2.fullmatch(read(f"{group}/cpu.max"))
    return int(found[1]) / int(found[2]) if found and int(found[2]) else None


def _old_cores(group: str) -> float | None:
    quota = number(f"{group}/cpu.cfs_quota_us")
    period = number(f"{group}/cpu.cfs_period_us")
    return quota / period if quota and period else None
