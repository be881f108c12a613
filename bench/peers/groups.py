"""Where the processes of one measurement live: a control group, which counts their CPU and bounds their memory.

Both versions of control groups are known. A group is made below our own (version 1) or below the nearest ancestor that
hands the memory controller on (version 2), so whatever bounds us bounds the measurement too. Without any, processes are
found through their parents and CPU is what ended children were charged; a bound on memory is then impossible.
"""

import os
import resource
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

ENTER: Final = 'for procs in $KUGETSU_BENCH_PROCS; do echo $$ > "$procs" || exit 97; done; exec "$@"'
"""What a shell does before it becomes the program: it puts itself into the groups."""

_ENDING_SECONDS: Final = 10.0


class Group:
    """The processes of one measurement. Close it, whatever happened: that ends them.

    Args:
        name: of the control groups, new.
        limit: bytes of memory, file cache and children included; 0 for no bound.

    Raises:
        OSError: the groups could not be made, or the bound could not be set.
    """

    def __init__(self, name: str, limit: int = 0) -> None:
        self._roots: list[int] = []
        self._folders: dict[str, Path] = {}
        self._spent = children_cpu_seconds()
        try:
            for controller, parent in parents().items():
                folder = parent / name
                if folder not in self._folders.values():
                    folder.mkdir()
                self._folders[controller] = folder
            if limit:
                self._bound(limit)
        except OSError:
            self.close()
            raise

    def command(self, command: list[str]) -> list[str]:
        """The same command, run by a process that puts itself into the group first."""
        return ["/bin/sh", "-c", ENTER, "enter", *command] if self._folders else command

    def environment(self) -> dict[str, str]:
        """What such a command needs in its environment."""
        return {"KUGETSU_BENCH_PROCS": " ".join(str(path / "cgroup.procs") for path in set(self._folders.values()))}

    def joined(self, pid: int) -> None:
        """Take note of a process that was started with `command`."""
        self._roots.append(pid)

    def pids(self) -> set[int]:
        """All processes, children of children included."""
        found: set[int] = set() if self._folders else descendants(self._roots)
        for folder in set(self._folders.values()):
            for procs in _below(folder, "cgroup.procs"):  # a daemon may make groups of its own below
                found.update(int(line) for line in _read(procs).split())
        return found

    def cpu_seconds(self) -> float:
        """User and system time of all that is or was in the group; without control groups, of what was waited for."""
        folder = self._folders.get("cpu")
        if folder is None:
            return children_cpu_seconds() - self._spent
        if nanoseconds := _read(folder / "cpuacct.usage"):
            return int(nanoseconds) / 1e9
        return _field(folder / "cpu.stat", "usage_usec") / 1e6

    def memory_kills(self) -> int:
        """How many processes the kernel ended for want of memory."""
        folder = self._folders.get("memory")
        if folder is None:
            return 0
        first = _field(folder / "memory.events", "oom_kill")  # version 2 counts what is below, version 1 does not
        return first or sum(_field(control, "oom_kill") for control in _below(folder, "memory.oom_control"))

    def end(self) -> None:
        """End what still lives, by its id."""
        until = time.monotonic() + _ENDING_SECONDS
        while (left := self.pids()) and time.monotonic() < until:
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)

    def close(self) -> None:
        """End what still lives, and remove the groups. May be called again."""
        self.end()
        for folder in set(self._folders.values()):
            for inner in sorted(_below(folder, "."), reverse=True):
                with suppress(OSError):
                    inner.rmdir()
            with suppress(OSError):
                folder.rmdir()
        if not any(folder.exists() for folder in self._folders.values()):
            self._folders = {}
            self._roots = []

    def _bound(self, limit: int) -> None:
        folder = self._folders.get("memory")
        if folder is None:
            raise OSError("no writable control group with a memory controller")
        if (folder / "memory.max").exists():
            (folder / "memory.max").write_text(str(limit))
            swap, value = folder / "memory.swap.max", "0"
        else:
            (folder / "memory.limit_in_bytes").write_text(str(limit))
            swap, value = folder / "memory.memsw.limit_in_bytes", str(limit)
        if swap.exists():
            swap.write_text(value)


def parents() -> dict[str, Path]:
    """Below which folder a group can be made, by controller (`memory`, `cpu`); those that cannot are left out."""
    found = {}
    for controller, candidates in (("memory", _candidates("memory")), ("cpu", _candidates("cpuacct"))):
        if usable := next((folder for folder in candidates if _takes(folder)), None):
            found[controller] = usable
    return found


def _candidates(controller: str) -> list[Path]:
    """Folders that may hold a group of a controller, best first: version 1, then version 2."""
    mounts = [line.split() for line in _read(Path("/proc/mounts")).splitlines()]
    own = [line.split(":", 2) for line in _read(Path("/proc/self/cgroup")).splitlines()]
    folders = []
    for _device, mount, kind, options, *_rest in mounts:
        if kind == "cgroup" and controller in options.split(","):
            path = next((path for _id, names, path in own if controller in names.split(",")), "/")
            folders += [Path(mount + path), Path(mount)]
    for _device, mount, kind, *_rest in mounts:
        if kind != "cgroup2":
            continue
        path = next((path for _id, names, path in own if not names), "/")
        here = Path(mount + path)
        above = [folder for folder in (here, *here.parents) if folder.is_relative_to(mount)]
        wanted = "memory" if controller == "memory" else ""
        folders += [f for f in above if wanted in ["", *_read(f / "cgroup.subtree_control").split()]]
    return folders


def _takes(folder: Path) -> bool:
    """Whether a group can be made there and a process put into it."""
    probe = folder / f"kugetsu-probe-{os.getpid()}"
    try:
        probe.mkdir()
    except OSError:
        return False
    enter = ["/bin/sh", "-c", ENTER, "enter", "true"]
    environment = {"KUGETSU_BENCH_PROCS": str(probe / "cgroup.procs"), "PATH": os.defpath}
    done = subprocess.run(enter, env=environment, stderr=subprocess.DEVNULL, check=False)
    with suppress(OSError):
        probe.rmdir()
    return done.returncode == 0


def descendants(roots: list[int]) -> set[int]:
    """Those of these processes that live, and all that descend from them."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _read(entry / "stat")):
            state, parent, *_rest = stat.rpartition(")")[2].split()
            if state != "Z":
                children.setdefault(int(parent), []).append(int(entry.name))
    alive = {pid for pids in children.values() for pid in pids}
    found: set[int] = set()
    waiting = [pid for pid in roots if pid in alive]
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, [])
    return found


def children_cpu_seconds() -> float:
    """User and system time of all children that we waited for, and of those that they waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _field(path: Path, name: str) -> int:
    """A number of a file with lines of name and value; 0 when it is not there."""
    pairs = (line.split() for line in _read(path).splitlines())
    return next((int(value) for key, value, *_rest in pairs if key == name), 0)


def _below(folder: Path, name: str) -> list[Path]:
    """Something of this name in a group and in each one below; those that vanish meanwhile are left out."""
    return [Path(place) / name for place, _folders, _files in os.walk(folder)]


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
