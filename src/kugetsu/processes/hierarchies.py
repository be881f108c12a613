"""Where on this machine groups of our own can be made.

Formats: proc_pid_mountinfo(5), and `/proc/self/cgroup` in cgroups(7).
"""

import contextlib
import os
import re
from pathlib import Path
from typing import Final

from kugetsu.processes.census import read_census
from kugetsu.processes.groups import CONTROLLERS, SELF, V2, Group, Place, enable, words, write

_PROC: Final = Path("/proc/self")


class UnusableError(Exception):
    """Groups cannot be used, for a reason in words."""


def own_places(proc: Path = _PROC) -> list[Place]:
    """The groups that this process is in, with the controllers that could limit groups within them; version 2 first."""
    try:
        mounts, groups = (proc / "mountinfo").read_text(), (proc / "cgroup").read_text()
    except OSError:
        return []
    found = [place for line in groups.splitlines() if (place := _place(line, mounts)) is not None]
    return sorted(found, key=lambda place: -place.version)


def usable(places: list[Place]) -> list[Place]:
    """The places to use, each with the controllers to be used there: each controller once."""
    left = set(CONTROLLERS)
    chosen = []
    for place in places:
        if here := tuple(name for name in CONTROLLERS if name in place.controllers and name in left):
            left -= set(here)
            chosen.append(Place(place.path, place.version, here))
    # Without any controller a group still knows all its processes.
    return chosen or [Place(place.path, V2) for place in places if place.version == V2][:1]


def settle(place: Place, name: str) -> Place:
    """Make a group for all commands of this program within the one that the program is in.

    In version 2 a group with processes in it passes no controllers on, so that the program has to move out of the way, into a
    group of its own within the new one.

    Raises:
        UnusableError: the machine does not allow it; nothing is left behind.
    """
    base = Place(f"{place.path}/{name}", place.version, place.controllers)
    try:
        os.mkdir(base.path)  # noqa: PTH102 - groups are strings everywhere
        if base.version == V2 and base.controllers:
            _pass_on(place, base)
    except OSError as error:
        unsettle(base)
        raise UnusableError(f"{place.path}: {error.strerror}") from None
    except UnusableError:
        unsettle(base)
        raise
    return base


def unsettle(base: Place) -> None:
    """Undo `settle`, as far as nothing else is in the way. Never raises."""
    own, away = os.path.dirname(base.path), f"{base.path}/{SELF}"  # noqa: PTH120 - groups are strings everywhere
    with contextlib.suppress(OSError):
        if pids := words(f"{away}/cgroup.procs"):
            # While a group passes controllers on, nobody can come back to it.
            for path in (base.path, own):
                write(f"{path}/cgroup.subtree_control", " ".join(f"-{name}" for name in base.controllers))
            for pid in pids:
                write(f"{own}/cgroup.procs", pid)
    base_group = Group((base,))
    base_group.child(SELF).remove()
    base_group.remove()


def _pass_on(place: Place, base: Place) -> None:
    if not _is_root(place.path):
        ours = {os.getpid(), *read_census().descendants(os.getpid())}
        pids = {int(pid) for pid in words(f"{place.path}/cgroup.procs")}
        if pids - ours:
            raise UnusableError(f"{place.path} holds other programs, too; a service with `Delegate=yes` has its own")
        os.mkdir(f"{base.path}/{SELF}")  # noqa: PTH102 - groups are strings everywhere
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                write(f"{base.path}/{SELF}/cgroup.procs", pid)
    enable(place.path, place.controllers)
    enable(base.path, base.controllers)


def _is_root(path: str) -> bool:
    """Whether it is the root of the whole machine, which may have processes and pass controllers on."""
    return not os.path.exists(f"{path}/cgroup.type")  # noqa: PTH110 - groups are strings everywhere


def _place(line: str, mounts: str) -> Place | None:
    """The group that a line of `/proc/self/cgroup` names."""
    number, _, rest = line.partition(":")
    names, _, group = rest.partition(":")
    version2 = number == "0" and not names
    for mount in mounts.splitlines():
        fields, _, kind = mount.partition(" - ")
        filesystem, _, options = kind.partition(" ")
        root, point = (_unescaped(field) for field in fields.split()[3:5])
        wanted = filesystem == ("cgroup2" if version2 else "cgroup")
        if not wanted or (not version2 and not set(names.split(",")) <= set(re.split("[ ,]", options))):
            continue
        if group != root and not group.startswith(f"{root.rstrip('/')}/"):
            continue  # our group is above what is mounted here
        path = str(Path(point) / group.removeprefix(root).lstrip("/"))
        if version2:
            return Place(path, V2, tuple(words(f"{path}/cgroup.controllers")))
        return Place(path, 1, tuple(names.split(",")))
    return None


def _unescaped(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), field)
