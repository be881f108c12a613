"""A workspace that is a plain directory."""

import asyncio
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kugetsu.errors import WorkspaceError
from kugetsu.tasks import Changes, Place, Task

_KEPT: Final = "kept"
"""Name of the detail of a place that says where the snapshots are."""


class DirectoryWorkspace:
    """A directory without git. Implements `protocols.Workspace`; nothing in it is ever committed or counted.

    Its base is an empty directory. Its snapshots are copies, which lie beside it.

    Args:
        path: the directory.
        branch: what it says its branch is.
        kept: where its snapshots are; None for a directory beside `path`.
    """

    notes: tuple[str, ...] = ()
    lost_power = False
    base = "0" * 40

    def __init__(self, path: Path, branch: str, kept: Path | None = None) -> None:
        self.path = self.directory = path
        self.branch = branch
        self.environment: dict[str, str] = {}
        self._kept = kept or path.with_name(f"{path.name}.{_KEPT}")

    @property
    def place(self) -> Place:
        """Where it is."""
        return Place(base=self.base, branch=self.branch, path=str(self.path), details={_KEPT: str(self._kept)})

    async def snapshot(self, turn: int) -> str:  # noqa: ARG002 - the same files make the same snapshot, whatever the turn
        """Keep a copy of everything in the directory; the id is a digest of it."""
        return await asyncio.to_thread(_keep, self.path, self._kept)

    async def holds(self, snapshot: str) -> bool:
        """Whether there is such a copy; the base always is."""
        return not snapshot or await asyncio.to_thread((self._kept / snapshot).is_dir)

    async def restore(self, snapshot: str) -> None:
        """Put the directory back to a snapshot; empty it for the base."""
        await asyncio.to_thread(_fill, self.path, self._kept, snapshot)

    async def commit_all(self, message: str) -> bool:  # noqa: ARG002 - nothing is ever committed
        """Nothing to commit."""
        return False

    async def changes(self) -> Changes:
        """Nothing to count."""
        return Changes()

    async def deliver(self) -> None:
        """Nowhere to deliver to."""

    async def close(self, *, keep: bool = False, residue: bool = False) -> bool:  # noqa: ARG002 - as it is
        """The directory stays: whoever made its parent removes it."""
        return True


class DirectoryWorkspaces:
    """Makes directories below one parent. Implements `protocols.Workspaces`."""

    def __init__(self, parent: Path) -> None:
        self._parent = parent

    async def verify(self, task: Task) -> None:
        """A directory can always be made."""

    async def create(self, task: Task, *, again: bool = False) -> DirectoryWorkspace:
        """Make a directory named after the task.

        Raises:
            WorkspaceError: it is there already, and nobody said that it may be.
        """
        workspace = DirectoryWorkspace(self._parent / task.id, f"kugetsu/{task.id}")
        if again:
            await self._remove(workspace.place)
        try:
            workspace.path.mkdir(parents=True)
        except FileExistsError as error:
            raise WorkspaceError(f"{workspace.path} exists already") from error
        return workspace

    async def reopen(self, task: Task, place: Place, snapshot: str = "") -> DirectoryWorkspace:  # noqa: ARG002 - the place says it all
        """Find the directory again; one that is gone is made from the snapshot.

        Raises:
            WorkspaceError: both are gone.
        """
        workspace = _workspace_at(place)
        if not workspace.path.is_dir():
            await workspace.restore(snapshot)
        return workspace

    async def fork(self, task: Task, original: Place, snapshot: str, *, again: bool = False) -> DirectoryWorkspace:
        """Make a directory that holds what another task's held at a snapshot.

        Raises:
            WorkspaceError: the snapshot is gone, or the directory is there already.
        """
        workspace = await self.create(task, again=again)
        await asyncio.to_thread(_fill, workspace.path, Path(original.details[_KEPT]), snapshot)
        return workspace

    async def forget(self, task_id: str, place: Place) -> bool:  # noqa: ARG002 - the place says it all
        """Remove the snapshots; the directory stays."""
        await asyncio.to_thread(shutil.rmtree, place.details[_KEPT], ignore_errors=True)
        return True

    async def _remove(self, place: Place) -> None:
        for path in (place.path, place.details[_KEPT]):
            await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)


def _workspace_at(place: Place) -> DirectoryWorkspace:
    return DirectoryWorkspace(Path(place.path), place.branch, Path(place.details[_KEPT]))


def _keep(path: Path, kept: Path) -> str:
    """Copy a directory aside, under a name that says what is in it; whole or not at all."""
    name = _digest(path)
    if not (kept / name).is_dir():
        unfinished = kept / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        if path.is_dir():
            shutil.copytree(path, unfinished, symlinks=True)
        else:
            unfinished.mkdir(parents=True)
        unfinished.rename(kept / name)
    return name


def _fill(path: Path, kept: Path, snapshot: str) -> None:
    """Give a directory the contents of a snapshot, and nothing else."""
    if snapshot and not (kept / snapshot).is_dir():
        raise WorkspaceError(f"the snapshot {snapshot} is gone")
    if path.is_dir():
        shutil.rmtree(path)
    if snapshot:
        shutil.copytree(kept / snapshot, path, symlinks=True)
    else:
        path.mkdir(parents=True)


def _digest(path: Path) -> str:
    digest = hashlib.sha1(usedforsecurity=False)
    for line in _lines(path):
        digest.update(len(line).to_bytes(8, "big") + line)
    return digest.hexdigest()


def _lines(path: Path) -> Iterator[bytes]:
    """Everything that a directory holds, in a fixed order: name, mode, contents."""
    for folder, folders, files in os.walk(path):
        folders.sort()
        for name in sorted([*folders, *files]):
            file = Path(folder, name)
            yield os.fsencode(file.relative_to(path))
            yield oct(file.lstat().st_mode).encode()
            if file.is_symlink():
                yield os.fsencode(file.readlink())
            elif file.is_file():
                yield file.read_bytes()
