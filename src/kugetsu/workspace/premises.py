"""Everything that tasks have on the disk, beside the worktrees of those that run: looked at, measured, cleared away."""

import asyncio
import contextlib
import os
import shlex
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from kugetsu.errors import KugetsuError
from kugetsu.tasks import Place, Task
from kugetsu.workspace.address import RemoteUrl, parse_address
from kugetsu.workspace.copies import is_copy
from kugetsu.workspace.delivery import DELIVERED
from kugetsu.workspace.discarding import discard, renamed_aside
from kugetsu.workspace.durable import read_refs
from kugetsu.workspace.facts import facts_of
from kugetsu.workspace.failures import refused_by_machine
from kugetsu.workspace.forgetting import Undelivered
from kugetsu.workspace.holding import held, release, take
from kugetsu.workspace.inventory import ROOMS, Inventory, borrowed, borrowers_of, take_inventory
from kugetsu.workspace.merged import merged_in
from kugetsu.workspace.mirror import mirror_path
from kugetsu.workspace.mirror_upkeep import (
    is_cloned_now,
    last_used,
    needs_packing,
    own_branches,
    pack,
    remove_mirror,
    remove_unfinished,
    sweep_gone,
)
from kugetsu.workspace.private import private_of
from kugetsu.workspace.size import size_of
from kugetsu.workspace.source import open_source
from kugetsu.workspace.unrecorded import branch_of, place_of, touched_at
from kugetsu.workspace.wording import printable

_SUFFIX: Final = ".git"


class Premises:
    """The rooms of the state directory that grow with the work.

    Args:
        home: the state directory.
        environ: the user's environment.
    """

    def __init__(self, home: Path, environ: Mapping[str, str]) -> None:
        self._home = home.absolute()
        self._environ = environ

    async def inventory(self) -> Inventory:
        """What there is, by names alone; mirrors that are being cloned at this moment are left out."""
        found = await asyncio.to_thread(take_inventory, self._home)
        found.unfinished = [path for path in found.unfinished if not _is_cloned_now(path)]
        return found

    def sweep_locks(self, locks: Iterable[Path]) -> None:
        """Remove locks of processes that are gone. Never raises."""
        for path in locks:
            with contextlib.suppress(OSError):
                if (descriptor := take(path)) is not None:
                    release(path, descriptor)

    async def borrowed(self) -> dict[Path, list[str]]:
        """Directories of objects that private repositories borrow from, and the ids of the tasks that do."""
        return await asyncio.to_thread(borrowed, self._home)

    async def borrowers_of(self, repository: Path) -> set[str]:
        """The ids of the tasks whose private repositories borrow the objects of a repository now."""
        return {*borrowers_of(repository, await self.borrowed())}

    async def size(self, paths: Iterable[str]) -> int:
        """The bytes that files and directories take; see `size_of`."""
        return await asyncio.to_thread(size_of, [Path(path) for path in paths])

    async def sizes(self) -> dict[str, int]:
        """The bytes that each room takes, by its name."""
        return {room: await self.size([str(self._home / room)]) for room in ROOMS}

    def any_exists(self, paths: Iterable[str]) -> bool:
        """Whether one of these is there."""
        return any(map(os.path.lexists, paths))

    def has_repository(self, task_id: str) -> bool:
        """Whether there is a private repository of a task."""
        return (self._home / "repos" / f"{task_id}{_SUFFIX}").is_dir()

    def unrecorded_place(self, task_id: str, worktrees: Sequence[Path]) -> Place | None:
        """Where the work of a task is of which no record says it; None when it cannot be told."""
        if len(worktrees) != 1:
            return None
        return place_of(private_of(self._home, task_id, branch_of(worktrees[0])))

    def touched_at(self, *paths: Path) -> float:
        """When something was last changed there, see `unrecorded.touched_at`."""
        return touched_at(*paths)

    def source_of(self, place: Place) -> Path | None:
        """The repository that a task's work is delivered into, as far as it is known."""
        common = facts_of(place).common
        return Path(common) if common else None

    def mirror_of(self, task: Task) -> Path | None:
        """Where the mirror is that a task works on; None for a task on a directory."""
        try:
            address = parse_address(task.repo)
        except KugetsuError:
            return None
        return mirror_path(self._home, address) if isinstance(address, RemoteUrl) else None

    async def repository_of(self, task: Task) -> Path | None:
        """The repository that a task was submitted for, or its mirror; None when it is no longer there."""
        mirror = self.mirror_of(task)
        if mirror is not None:
            return mirror if mirror.is_dir() else None
        try:
            return (await open_source(Path(task.repo), self._environ)).common
        except KugetsuError:
            return None

    def lender_of(self, task: Task) -> str:
        """The id of the task in whose worktree or private repository another one works; empty for none."""
        try:
            address = parse_address(task.repo)
        except KugetsuError:
            return ""
        if isinstance(address, RemoteUrl):
            return ""
        path = Path(os.path.realpath(address))
        for room in ("worktrees", "repos"):
            with contextlib.suppress(ValueError):
                inside = path.relative_to(os.path.realpath(self._home / room))
                return inside.parts[0].partition("-")[0].removesuffix(_SUFFIX) if inside.parts else ""
        return ""

    async def merged(self, source: Path, places: Iterable[Place]) -> set[str]:
        """The branches of tasks with work that their user has merged, or merged and deleted.

        Raises:
            RepositoryError, WorkspaceError: git failed.
        """
        delivered = {place.branch: self._delivered(place) for place in places}
        bases = {place.branch: place.base for place in places}
        worked = {branch: commit for branch, commit in delivered.items() if commit not in {"", bases[branch]}}
        return await merged_in(source, worked, self._environ) if worked else set()

    def _delivered(self, place: Place) -> str:
        """The commit at which we left the branch; empty when there is no work."""
        repository = self._home / "repos" / f"{Path(place.path).name.partition('-')[0]}{_SUFFIX}"
        return read_refs(repository, DELIVERED)[0]

    def last_used(self, mirror: Path) -> float:
        """When a task last asked for a mirror, in seconds since the epoch."""
        return last_used(mirror)

    async def only_in_mirror(self, mirror: Path) -> Undelivered | None:
        """What would be lost with a mirror.

        Raises:
            RepositoryError, WorkspaceError: git failed.
        """
        names = await own_branches(mirror, self._environ)
        if not names:
            return None
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        return Undelivered(
            f"the remote has not what is on {printable(names[0])}{more}",
            f"git fetch {shlex.quote(str(mirror))} {' '.join(map(shlex.quote, names))}",
        )

    async def only_in_aside(self, directory: Path, source: Path | None) -> Undelivered | None:
        """What would be lost with a worktree that was moved aside.

        Raises:
            RepositoryError, WorkspaceError: git failed.
        """
        if source and await is_copy(directory, source, self._environ):
            return None
        return Undelivered("files in it may be nowhere else", f"ls -aR {shlex.quote(str(directory))}")

    async def remove_mirror(self, mirror: Path, used: float, sure: Callable[[], Awaitable[bool]]) -> bool:
        """Remove a mirror that nobody needs; see `mirror_upkeep.remove_mirror`.

        Raises:
            WorkspaceError: the machine refused.
        """
        try:
            return await remove_mirror(mirror, used, sure)
        except OSError as error:
            raise refused_by_machine(error, "remove the mirror") from error

    async def remove_scratch(self, task_id: str, path: Path, sure: Callable[[], Awaitable[bool]]) -> bool:
        """Remove temporary files of a task that is over; whether they are gone.

        Raises:
            WorkspaceError: the machine refused.
        """
        try:
            async with held(private_of(self._home, task_id, ""), needed=True):
                return await sure() and await discard(path)
        except OSError as error:
            raise refused_by_machine(error, "remove temporary files") from error

    async def remove_rest(self, path: Path) -> bool:
        """Remove what a killed process left half made or half removed; whether it is gone.

        Raises:
            WorkspaceError: the machine refused.
        """
        try:
            if path.name.startswith(".gone-"):
                return await sweep_gone(path)
            return await remove_unfinished(path)
        except OSError as error:
            raise refused_by_machine(error, "remove what was left") from error

    async def remove_aside(self, directory: Path, source: Path | None) -> bool:
        """Remove a worktree that was moved aside, unless something would be lost with it; whether it is gone.

        It is looked at under another name, by which nobody can change it meanwhile; killed then, it is found as it is.

        Raises:
            RepositoryError, WorkspaceError: git failed, or the machine refused; it has its name again.
        """
        try:
            with renamed_aside(directory) as hidden:
                return await self.only_in_aside(hidden, source) is None and await discard(hidden)
        except OSError as error:
            raise refused_by_machine(error, "remove a worktree that was moved aside") from error

    def needs_packing(self, mirror: Path) -> bool:
        """Whether git has become slow in a mirror."""
        return needs_packing(mirror)

    async def pack(self, mirror: Path) -> None:
        """Pack a mirror anew; see `mirror_upkeep.pack`.

        Raises:
            RepositoryError, WorkspaceError: git failed; everything is still there.
        """
        await pack(mirror, self._environ)


def _is_cloned_now(path: Path) -> bool:
    try:
        return is_cloned_now(path)
    except OSError:
        return True
