"""Removing one thing after the other, each only if it still may go at that moment."""

import asyncio
from pathlib import Path
from typing import Final

import msgspec

from kugetsu.app.keeping import Item
from kugetsu.app.survey import UNFINISHED, Known, find_record, needs_of
from kugetsu.errors import KugetsuError, RecordError
from kugetsu.protocols import Desk
from kugetsu.workspace import GitWorkspaces, Premises, Undelivered

_IN_USE: Final = "somebody has begun to use it"
_HALF: Final = "not everything of it could be removed; it is tried again the next time"


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an item that was to go.

    Attributes:
        gone: whether it is gone.
        why: it stays after all.
        command: as of `Holding`.
    """

    item: Item
    gone: bool
    why: str = ""
    command: str = ""


async def obstacle(known: Known, premises: Premises, workspaces: GitWorkspaces) -> Undelivered | None:
    """What would be lost with a thing; None for nothing. Changes nothing.

    Raises:
        RepositoryError, WorkspaceError: it is not known.
    """
    match known.holding.kind:
        case "mirror":
            return await premises.only_in_mirror(known.path)
        case "aside":
            return await premises.only_in_aside(known.path, known.source)
        case "task" | "unrecorded" if known.place:
            wanted = known.holding.wanted
            return await workspaces.undelivered(known.holding.name, known.place, given_up=True, wanted=wanted)
        case _:
            return None


class Clearing:
    """Removes what was found to go.

    Args:
        store: what is known of tasks.
        premises: the disk.
        workspaces: what is known of worktrees.
    """

    def __init__(self, store: Desk, premises: Premises, workspaces: GitWorkspaces) -> None:
        self._store = store
        self._premises = premises
        self._workspaces = workspaces
        self._unfinished = _Unfinished(store, premises)

    async def remove(self, item: Item, known: Known) -> Done:
        """Remove a thing, unless something stands against it by now.

        Raises:
            RecordError: the records cannot be read.
        """
        allowed: list[bool] = []
        try:
            if await self._take_away(known, allowed):
                return Done(item=item, gone=True)
            if False in allowed:
                return Done(item=item, gone=False, why=_IN_USE)
            if not self._premises.any_exists(item.holding.paths):
                return Done(item=item, gone=False, why=_HALF)
            found = await obstacle(known, self._premises, self._workspaces)
        except RecordError:
            raise
        except KugetsuError as error:
            return Done(item=item, gone=False, why=str(error))
        return Done(
            item=item, gone=False, why=found.reason if found else _IN_USE, command=found.command if found else ""
        )

    async def _take_away(self, known: Known, allowed: list[bool]) -> bool:
        """Do it; whether it is gone. Adds to `allowed` whether nobody had begun to use it."""
        holding = known.holding

        async def sure() -> bool:
            allowed.append(await (self._is_unneeded(known) if holding.kind == "mirror" else self._is_over(known)))
            return allowed[-1]

        match holding.kind:
            case "task" | "unrecorded" if known.place:
                return await self._workspaces.forget(
                    holding.name, known.place, sure=sure, given_up=True, wanted=holding.wanted
                )
            case "mirror":
                return await self._premises.remove_mirror(known.path, holding.since, sure)
            case "scratch":
                return await self._premises.remove_scratch(holding.name, known.path, sure)
            case "aside":
                return await self._premises.remove_aside(known.path, known.source)
            case "rest":
                return await self._premises.remove_rest(known.path)
            case _:
                return False

    async def _is_over(self, known: Known) -> bool:
        """Whether a task is still over, as it was, and nothing has come to need what it left."""
        holding = known.holding
        record = await find_record(self._store, holding.name)
        as_it_was = record.final if record else True
        as_it_was = as_it_was and (record.generation if record else -1) == known.generation
        if not as_it_was or holding.kind == "scratch":
            return as_it_was
        borrowers = await self._premises.borrowers_of(Path(holding.paths[-1])) - {holding.name}
        return not borrowers and holding.name not in await self._unfinished.needs()

    async def _is_unneeded(self, known: Known) -> bool:
        """Whether no task needs a mirror."""
        mirror, lent = known.path, await self._premises.borrowers_of(known.path)
        if lent or any(map(self._premises.has_repository, known.holding.borrowers)):
            return False
        for report in await self._store.reports(states=UNFINISHED):
            record = await find_record(self._store, report.id)
            if record and self._premises.mirror_of(record.task) == mirror:
                return False
        return True


class _Unfinished:
    """The tasks that are not over at this moment, those included that were taken up again since it was decided."""

    def __init__(self, store: Desk, premises: Premises) -> None:
        self._store = store
        self._premises = premises
        self._seen: set[str] = set()
        self._needs: set[str] = set()
        self._looking = asyncio.Lock()

    async def needs(self) -> set[str]:
        """The tasks without whose files one of them could not begin. Each is looked at once, so it may be too many."""
        async with self._looking:
            for report in await self._store.reports(states=UNFINISHED):
                if report.id not in self._seen and (record := await find_record(self._store, report.id)):
                    self._needs.update(await needs_of(self._store, self._premises, record))
                    self._seen.add(report.id)
        return self._needs
