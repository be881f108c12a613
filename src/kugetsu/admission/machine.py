"""What this machine has, and what of it is left at this moment."""

import os
import re
from collections import deque
from pathlib import Path
from typing import Final

import msgspec

from kugetsu.admission.files import least, most, pressure, read
from kugetsu.admission.groups import Groups
from kugetsu.protocols import Clock

FRESH_SECONDS: Final = 0.5
"""How long a reading is good for."""

SWAP_SECONDS: Final = 10.0
"""Over how long it is seen whether swap is being filled."""

_CORES_SECONDS: Final = 30.0

_MEMINFO: Final = re.compile(rb"^(MemTotal|MemAvailable|SwapTotal|SwapFree):\s*([0-9]{1,17}) kB", re.MULTILINE)


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """A reading of the machine. None: not known, and so not looked at.

    Attributes:
        memory_total: bytes, or the limit of the tightest group (container, service) around this process.
        memory_available: bytes that can be had without swapping, in the tightest group.
        swap_total: bytes.
        swap_free: bytes.
        swap_filled: bytes by which free swap shrank in the last ten seconds.
        memory_pressure: percent of the last ten seconds in which some process stood still for want of memory.
        io_pressure: the same for want of a disk.
        cpu_pressure: the same for want of a processor.
        cores: processors that this process may use, or what a quota leaves of them.
        disk_free: bytes that may still be written in the state directory.
        files_free: files that may still be made there.
    """

    memory_total: int | None = None
    memory_available: int | None = None
    swap_total: int | None = None
    swap_free: int | None = None
    swap_filled: int = 0
    memory_pressure: float | None = None
    io_pressure: float | None = None
    cpu_pressure: float | None = None
    cores: float = 1.0
    disk_free: int | None = None
    files_free: int | None = None


class MachineReader:
    """Reads the machine, at most twice a second. Never raises for what cannot be read.

    Args:
        home: the state directory; it need not be there yet.
        clock: measures.
        proc: where `/proc` is.
        cgroups: where `/sys/fs/cgroup` is.
    """

    def __init__(
        self, home: Path, clock: Clock, *, proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")
    ) -> None:
        self._home = str(home)
        self._clock = clock
        self._proc = str(proc)
        self._groups = Groups(self._proc, str(cgroups))
        self._swap: deque[tuple[float, int]] = deque()
        self._cores: tuple[float, float] | None = None
        self._last: tuple[float, Machine] | None = None

    def __call__(self) -> Machine:
        """The last reading, or a new one when that is old."""
        now = self._clock.monotonic()
        if self._last is None or not 0 <= now - self._last[0] < FRESH_SECONDS:
            self._last = (now, self._read(now))
        return self._last[1]

    def _read(self, now: float) -> Machine:
        self._groups.look()
        system = {name: int(value) * 1024 for name, value in _MEMINFO.findall(read(f"{self._proc}/meminfo"))}
        total, available = system.get(b"MemTotal"), system.get(b"MemAvailable")
        groups = self._groups.memory(total if total is not None else 2**60)
        swap_free = system.get(b"SwapFree")
        disk_free, files_free = _disk(self._home)
        return Machine(
            memory_total=least(total, *(group.limit for group in groups)),
            memory_available=least(available, *(group.available for group in groups)),
            swap_total=system.get(b"SwapTotal"),
            swap_free=swap_free,
            swap_filled=self._filled(now, swap_free),
            memory_pressure=most(self._pressure("memory"), *(group.pressure for group in groups)),
            io_pressure=self._pressure("io"),
            cpu_pressure=self._pressure("cpu"),
            cores=self._usable_cores(now),
            disk_free=disk_free,
            files_free=files_free,
        )

    def _pressure(self, of: str) -> float | None:
        return pressure(f"{self._proc}/pressure/{of}")

    def _filled(self, now: float, free: int | None) -> int:
        if free is None:
            self._swap.clear()
            return 0
        while self._swap and now - self._swap[0][0] > SWAP_SECONDS:
            self._swap.popleft()
        self._swap.append((now, free))
        return max(self._swap[0][1] - free, 0)

    def _usable_cores(self, now: float) -> float:
        """Looked at now and then only: it hardly ever changes."""
        if self._cores is None or not 0 <= now - self._cores[0] < _CORES_SECONDS:
            self._cores = (now, least(_processors(), self._groups.cores()) or 1.0)
        return self._cores[1]


def _processors() -> float:
    try:
        return float(len(os.sched_getaffinity(0)))
    except OSError:
        return float(os.cpu_count() or 1)


def _disk(home: str) -> tuple[int | None, int | None]:
    """Bytes and files that are free where a directory is or would be; None for what the file system does not say."""
    while True:
        try:
            found = os.statvfs(home)
        except FileNotFoundError:
            parent = os.path.dirname(home)  # noqa: PTH120 - as fast as may be
            if parent == home:
                return None, None
            home = parent
        except (OSError, ValueError):
            return None, None
        else:
            return (
                found.f_bavail * found.f_frsize if found.f_blocks else None,
                found.f_favail if found.f_files else None,
            )
