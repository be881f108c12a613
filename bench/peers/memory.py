"""Proportional set size of some processes, as though they were the only ones on the machine.

The kernel divides a page by the number of processes that map it. So a Python program looks smaller while this benchmark,
which is one too, runs beside it, and node does not. Pages of files are therefore counted anew from `/proc/PID/smaps`: once
for all processes of a contender, and in full; so is shared memory, which is a file to the kernel. Everything else is the
kernel's own proportional count.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_MAPPING: Final = re.compile(r"[0-9a-f]+-[0-9a-f]+ \S+ ([0-9a-f]+) (\S+) ([0-9]+)")
_KILOBYTES: Final = 1024


def pss_megabytes(pids: Iterable[int]) -> float:
    """Memory of these processes, in MB; those that have ended count nothing.

    Raises:
        PermissionError: the kernel does not let this user look; root may.
    """
    private, files = 0, dict[str, int]()
    for pid in pids:
        own, mapped = _look(pid)
        private += own
        for key, kilobytes in mapped.items():
            files[key] = max(kilobytes, files.get(key, 0))
    return (private + sum(files.values())) / _KILOBYTES


def _look(pid: int) -> tuple[int, dict[str, int]]:
    """Kilobytes of a process that are no file's, and of each part of a file that it maps."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        lines = Path(f"/proc/{pid}/smaps").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0, {}
    private = next((int(line.split()[1]) for line in rollup if line.startswith("Pss_Anon:")), 0)
    files: dict[str, int] = {}
    key = ""
    for line in lines:
        if mapping := _MAPPING.match(line):
            key = " ".join(mapping.groups()) if mapping[3] != "0" else ""
        elif key and line.startswith(("Rss:", "Anonymous:")):
            kilobytes = int(line.split()[1])
            files[key] = files.get(key, 0) + (kilobytes if line.startswith("Rss:") else -kilobytes)
    return private, files
