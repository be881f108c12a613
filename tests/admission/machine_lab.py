"""Directories that look like `/proc` and `/sys/fs/cgroup`, for readings of machines that are not there."""

from pathlib import Path

from kugetsu.admission import MachineReader
from kugetsu.testing import FakeClock

MIB = 2**20

MEMINFO = """\
MemTotal:        {total} kB
MemFree:          120344 kB
MemAvailable:    {available} kB
Buffers:            3464 kB
Cached:           124516 kB
SwapCached:            0 kB
Active(file):      71220 kB
SwapTotal:       {swap} kB
SwapFree:        {swap_free} kB
Dirty:               120 kB
"""

PRESSURE = """\
some avg10={share:.2f} avg60=0.98 avg300=3.91 total=2932259987
full avg10=0.00 avg60=0.00 avg300=0.00 total=1084648
"""


class Lab:
    """A machine made of files.

    Attributes:
        clock: stands still until it is moved.
        read: reads the machine.
    """

    def __init__(self, directory: Path) -> None:
        self.proc = directory / "proc"
        self.groups = directory / "cgroup"
        self.home = directory / "state"
        self.clock = FakeClock(auto=False)
        self.read = MachineReader(self.home, self.clock, proc=self.proc, cgroups=self.groups)

    def system(self, *, total: int = 2048, available: int = 1024, swap: int = 512, swap_free: int = 512) -> None:
        """Say what the whole system has, in MiB."""
        text = MEMINFO.format(
            total=total * 1024, available=available * 1024, swap=swap * 1024, swap_free=swap_free * 1024
        )
        self.write(self.proc / "meminfo", text)

    def pressure(self, **shares: float) -> None:
        """Say how much stood still, in percent, by resource."""
        for resource, share in shares.items():
            self.write(self.proc / "pressure" / resource, PRESSURE.format(share=share))

    def member(self, *lines: str) -> None:
        """Say in which groups this process is."""
        self.write(self.proc / "self" / "cgroup", "".join(f"{line}\n" for line in lines))

    def unified(self, group: str = "", **files: str | int) -> None:
        """Make a group of version 2; `__` in a name stands for a dot. At the outermost, make the whole hierarchy."""
        self.write(self.groups / "cgroup.controllers", "cpu memory pids\n")
        self._group(self.groups / group, files)

    def old(self, controller: str, group: str = "", **files: str | int) -> None:
        """Make a group of version 1."""
        self._group(self.groups / controller / group, files)

    def write(self, path: Path, text: str | bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)

    def _group(self, directory: Path, files: dict[str, str | int]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        for name, value in files.items():
            self.write(directory / name.replace("__", "."), f"{value}\n")


def stat_v2(*, inactive: int, active: int) -> str:
    """A `memory.stat` of version 2; in MiB."""
    return (
        f"anon 104857600\nfile {(inactive + active) * MIB}\nkernel 4096\nshmem 0\ninactive_anon 1\nactive_anon 5\n"
        f"inactive_file {inactive * MIB}\nactive_file {active * MIB}\nunevictable 0"
    )


def stat_v1(*, inactive: int, active: int) -> str:
    """A `memory.stat` of version 1, whose own part is not all of it; in MiB."""
    return (
        "cache 4096\nrss 4096\ninactive_file 4096\nactive_file 8192\nhierarchical_memory_limit 1073741824\n"
        f"total_cache 9\ntotal_inactive_file {inactive * MIB}\ntotal_active_file {active * MIB}\ntotal_unevictable 0"
    )
