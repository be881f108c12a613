"""Which processes belong together, read from /proc. Where there is no /proc, or no right to read it, nothing is found."""

import contextlib
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")


def _pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir(_PROC) if name.isdigit()]  # noqa: PTH208 - names alone, three times faster
    except OSError:
        return []


def _parent(pid: int) -> int | None:
    """The parent of a living process; None for one that is gone or a zombie."""
    try:
        # The command name stands in parentheses and may itself hold spaces and parentheses.
        state, parent = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()[:2]
    except (OSError, ValueError):
        return None
    return None if state == b"Z" else int(parent)


def descendants(root: int) -> set[int]:
    """All living children of a process and their children, without the process itself."""
    children: dict[int, list[int]] = {}
    for pid in _pids():
        if (parent := _parent(pid)) is not None:
            children.setdefault(parent, []).append(pid)
    found: set[int] = set()
    pending = [root]
    while pending:
        for pid in children.get(pending.pop(), ()):
            if pid not in found:
                found.add(pid)
                pending.append(pid)
    return found


def living(pids: Iterable[int]) -> set[int]:
    """Those of the processes that still live."""
    return {pid for pid in pids if _parent(pid) is not None}


def marked(name: str, value: str) -> set[int]:
    """All living processes, but this one, that were started with `name=value` in their environment."""
    wanted = f"{name}={value}".encode()
    return {pid for pid in _pids() if pid != os.getpid() and wanted in _environment(pid) and _parent(pid) is not None}


def _environment(pid: int) -> list[bytes]:
    try:
        return (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return []


def signal_all(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to each process that still exists and may be signalled."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
