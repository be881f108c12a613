"""What there is on the disk of tasks and repositories, told by names alone."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from kugetsu.workspace.private import ALTERNATES

ROOMS: Final = ("worktrees", "repos", "mirrors")
"""The directories of the state directory that grow with the work."""

_SCRATCH: Final = "scratch"
_ASIDE: Final = re.compile(r"(.+)\.aside-[0-9a-f]{8}")
_GONE: Final = ".gone-"
_UNFINISHED: Final = re.compile(r"\.(.+\.git)\.[0-9a-f]{8}")
"""A mirror while it is cloned."""

_LOCK: Final = re.compile(r"\..+\.git\.lock")
_QUOTED: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"')


class Inventory(msgspec.Struct, kw_only=True):
    """What was found.

    Attributes:
        repositories: private repositories, by the id of their task.
        worktrees: by the id of their task; one at most, unless somebody put more there.
        scratch: temporary files, by the id of their task.
        mirrors: of remote repositories.
        asides: worktrees that were moved aside before their task began, by the name of the worktree.
        gone: what was being removed when a process was killed.
        unfinished: mirrors that were being cloned.
        locks: of tasks, which a killed process may have left.
        strangers: what nobody of us puts there.
    """

    repositories: dict[str, Path] = {}
    worktrees: dict[str, list[Path]] = {}
    scratch: dict[str, Path] = {}
    mirrors: list[Path] = []
    asides: list[tuple[str, Path]] = []
    gone: list[Path] = []
    unfinished: list[Path] = []
    locks: list[Path] = []
    strangers: list[Path] = []

    @property
    def tasks(self) -> list[str]:
        """The ids of all tasks of which there is anything."""
        return sorted({*self.repositories, *self.worktrees, *self.scratch})


def take_inventory(home: Path) -> Inventory:
    """Look at the state directory. What cannot be read is left out.

    Args:
        home: the state directory.
    """
    found = Inventory()
    for path in _in(home / "worktrees"):
        _sort_worktree(found, path)
    for path in _in(home / "repos"):
        _sort_repository(found, path)
    for path in _in(home / "mirrors"):
        _sort_mirror(found, path)
    for path in _in(home / _SCRATCH):
        if not _sort_hidden(found, path):
            found.scratch[path.name] = path
    return found


def borrowed(home: Path) -> dict[Path, list[str]]:
    """Directories of objects that private repositories borrow from, and the ids of the tasks that do.

    Args:
        home: the state directory.
    """
    lent: dict[Path, list[str]] = {}
    for path in _in(home / "repos"):
        if path.suffix == ".git" and not path.name.startswith("."):
            for objects in alternates(path):
                lent.setdefault(objects, []).append(path.name.removesuffix(".git"))
    return lent


def borrowers_of(repository: Path, lent: Mapping[Path, list[str]]) -> list[str]:
    """The ids of the tasks whose private repositories borrow the objects of a repository; `lent` as of `borrowed`."""
    return lent.get(Path(os.path.realpath(repository / "objects")), [])


def _in(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError:
        return []


def _sort_worktree(found: Inventory, path: Path) -> None:
    if _sort_hidden(found, path):
        return
    if aside := _ASIDE.fullmatch(path.name):
        found.asides.append((aside[1], path))
        return
    found.worktrees.setdefault(path.name.partition("-")[0], []).append(path)


def _sort_repository(found: Inventory, path: Path) -> None:
    if _LOCK.fullmatch(path.name):
        found.locks.append(path)
    elif not _sort_hidden(found, path):
        if path.suffix == ".git":
            found.repositories[path.name.removesuffix(".git")] = path
        else:
            found.strangers.append(path)


def _sort_mirror(found: Inventory, path: Path) -> None:
    if _UNFINISHED.fullmatch(path.name):
        found.unfinished.append(path)
    elif not _sort_hidden(found, path) and path.suffix != ".lock":
        (found.mirrors if path.suffix == ".git" else found.strangers).append(path)


def _sort_hidden(found: Inventory, path: Path) -> bool:
    """Whether it is none of what stands in such a place for good."""
    if path.name.startswith(_GONE):
        found.gone.append(path)
    elif path.name.startswith("."):
        found.strangers.append(path)
    else:
        return False
    return True


def alternates(repository: Path) -> list[Path]:
    """Where a repository borrows objects, in the format of gitrepository-layout(5); nothing when that cannot be read."""
    try:
        lines = (repository / ALTERNATES).read_bytes().split(b"\n")
    except OSError:
        return []
    paths = [_unquoted(line) for line in lines if line and not line.startswith(b"#")]
    return [Path(os.path.realpath(repository / "objects" / os.fsdecode(path))) for path in paths]


def _unquoted(line: bytes) -> bytes:
    quoted = _QUOTED.fullmatch(line)
    return quoted[1].replace(b"\\n", b"\n").replace(b'\\"', b'"').replace(b"\\\\", b"\\") if quoted else line
