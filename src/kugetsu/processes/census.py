"""Which processes belong together, read from /proc. Where there is no /proc, or no right to read it, nothing is found."""

import asyncio
import logging
import math
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

_log = logging.getLogger(__name__)

_PROC: Final = Path("/proc")


class Census:
    """The living processes at one moment, this one left out.

    Args:
        parents: the parent of each.
        environments: what each was started with, as `NAME=value`.
    """

    def __init__(self, parents: dict[int, int], environments: dict[int, frozenset[bytes]]) -> None:
        self._parents = parents
        self._environments = environments

    def living(self, pids: Iterable[int]) -> set[int]:
        """Those of the processes that lived."""
        return {pid for pid in pids if pid in self._parents}

    def descendants(self, root: int) -> set[int]:
        """All children of a process and their children, without the process itself."""
        children: dict[int, list[int]] = {}
        for pid, parent in self._parents.items():
            children.setdefault(parent, []).append(pid)
        found: set[int] = set()
        pending = [root]
        while pending:
            new = [pid for pid in children.get(pending.pop(), ()) if pid not in found]
            found.update(new)
            pending.extend(new)
        return found

    def marked(self, name: str, value: str) -> set[int]:
        """All that were started with `name=value` in their environment."""
        wanted = f"{name}={value}".encode()
        return {pid for pid, environment in self._environments.items() if wanted in environment}


def read_census(prefix: bytes = b"KUGETSU_") -> Census:
    """Look at every process now; of its environment, keep what begins with a prefix. Takes about 20 us a process."""
    parents = {pid: parent for pid in _pids() if pid != os.getpid() and (parent := _parent(pid)) is not None}
    return Census(parents, {pid: _environment(pid, prefix) for pid in parents})


def moment() -> float:
    """Now, on the clock of `take_census`; seconds."""
    return time.monotonic()


async def take_census(since: float | None = None) -> Census:
    """Look at every process, after this call began and without blocking. Those who ask at one time share one look.

    Args:
        since: a look that began after this moment is good enough; see `moment`.
    """
    return await _TAKERS.setdefault(asyncio.get_running_loop(), _Taker()).take(since)


class _Taker:
    """Takes one census after another, for one event loop."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._began = -math.inf
        self._latest = Census({}, {})

    async def take(self, since: float | None) -> Census:
        wanted = moment() if since is None else since
        if self._began < wanted:
            async with self._lock:
                if self._began < wanted:
                    began = moment()
                    self._latest = await asyncio.to_thread(read_census)
                    self._began = began
        return self._latest


_TAKERS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, _Taker]] = WeakKeyDictionary()


def marked(name: str, value: str) -> set[int]:
    """All living processes, but this one, that were started with `name=value`; blocking."""
    return read_census(f"{name}=".encode()).marked(name, value)


def signal_all(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to each process that still exists and may be signalled."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
        except PermissionError:
            _log.warning("process %d cannot be ended: it belongs to another user", pid)


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


def _environment(pid: int, prefix: bytes) -> frozenset[bytes]:
    try:
        entries = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return frozenset()
    return frozenset(entry for entry in entries if entry.startswith(prefix))
