"""Taking away what tasks have left on the disk, by the rule of `keeping`, and never what is nowhere else.

Nothing is written into the records, and nothing has to be taken back after a crash: what is removed gets another name first,
and the next pruning completes it. A task may be taken up again at any moment; whoever does that and whoever prunes hold the
task's files one after the other, and look who owns it (see `workspace.holding`).
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from kugetsu.app.ballast import keep_ballast
from kugetsu.app.clearing import Clearing, Done, obstacle
from kugetsu.app.keeping import Item, Rule, decide, taken
from kugetsu.app.survey import Known, OnStep, Survey
from kugetsu.concurrency import first_error
from kugetsu.config import DiskSettings
from kugetsu.engine import Presences
from kugetsu.errors import KugetsuError, RecordError
from kugetsu.protocols import Clock, Desk
from kugetsu.workspace import GitWorkspaces, Premises, take_lock

T = TypeVar("T")
R = TypeVar("R")

_AT_ONCE: Final = 2
"""Things that are looked at at the same time: each takes a few git processes, and the machine has other work."""

_MOST_ROUNDS: Final = 3
_LOCK: Final = "prune.lock"
_WAIT_SECONDS: Final = 0.2


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to become of everything.

    Attributes:
        items: in the order in which it would go.
        known: what belongs to each item.
        taken: bytes that all together take; None when they were not measured, because they cannot be too many.
    """

    items: tuple[Item, ...]
    known: tuple[Known, ...]
    rule: Rule
    taken: int | None

    @property
    def uncertain(self) -> bool:
        """Whether the machine kept something from being looked at: a full disk, for example."""
        return any(each.uncertain for each in self.known)


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the disk is taken.

    Attributes:
        rooms: bytes, by the name of the directory.
        most_bytes: what all together may take; 0 for no limit.
    """

    rooms: dict[str, int]
    most_bytes: int

    @property
    def taken(self) -> int:
        """Bytes of all together."""
        return sum(self.rooms.values())

    @property
    def too_much(self) -> bool:
        """Whether that is more than it may be."""
        return 0 < self.most_bytes < self.taken


async def usage(home: Path, environ: Mapping[str, str], disk: DiskSettings) -> Usage:
    """Measure worktrees, private repositories and mirrors. Never raises; a second for some hundred thousand files."""
    return Usage(rooms=await Premises(home, environ).sizes(), most_bytes=Rule.of(disk).most_bytes)


def _ignored(_told: object) -> None:
    """Nobody wants to know."""


class Pruner:
    """Decides what goes, and takes it away.

    Args:
        home: the state directory.
        environ: the user's environment.
        store: what is known of tasks; only read.
        disk: the settings.
        clock: time.
        on_step: told what is being done, in a few words that take the place of those before.
    """

    def __init__(
        self,
        home: Path,
        environ: Mapping[str, str],
        store: Desk,
        disk: DiskSettings,
        clock: Clock,
        on_step: OnStep = _ignored,
    ) -> None:
        self._home = home
        self._store = store
        self._disk = disk
        self._clock = clock
        self._on_step = on_step
        self._workspaces = GitWorkspaces(home, environ)
        self._premises = Premises(home, environ)
        self._sizes: dict[tuple[str, int], int] = {}
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def plan(self, *, days: float | None = None, thorough: bool = True) -> Plan:
        """Decide what goes. Changes nothing.

        Args:
            days: how long what is delivered stays; None for the settings' own.
            thorough: look at everything, and measure it. Else only at what would go, and nothing is measured as long as
                the whole disk holds less than may be taken.

        Raises:
            RecordError: the records cannot be read.
        """
        rule = Rule.of(self._disk, days)
        known = await Survey(self._store, self._premises, self._on_step).take()
        measured = thorough or self._may_be_too_much(rule)
        if measured:
            known = await self._each(known, self._measured, "measuring")
        if thorough:
            known = await self._each(known, self._examined, "looking for what is nowhere else")
        items = decide([each.holding for each in known], rule, self._clock.now())
        while pending := [each for each, item in zip(known, items, strict=True) if item.goes and _unseen(each)]:
            seen = await self._each(pending, self._looked_at, "looking at what is due")
            instead = dict(zip(map(id, pending), seen, strict=True))
            known = [instead.get(id(each), each) for each in known]
            items = decide([each.holding for each in known], rule, self._clock.now())
        return Plan(
            items=tuple(items),
            known=tuple(known),
            rule=rule,
            taken=taken(each.holding for each in known) if measured else None,
        )

    async def carry_out(self, plan: Plan, on_done: Callable[[Done], None]) -> list[Done]:
        """Take away what is to go, tasks before the mirrors that they borrow from. What fails is told, and others go on.

        Raises:
            RecordError: the records cannot be read any more.
        """
        due = sorted(
            ((item, known) for item, known in zip(plan.items, plan.known, strict=True) if item.goes), key=_order
        )
        clearing = Clearing(self._store, self._premises, self._workspaces)

        async def remove(pair: tuple[Item, Known]) -> Done:
            result = await clearing.remove(*pair)
            on_done(result)
            return result

        first = [pair for pair in due if pair[0].holding.kind != "mirror"]
        done = await self._each(first, remove, "removing")
        done += await self._each(due[len(first) :], remove, "removing mirrors")
        for result in await self._keep_mirrors(plan):
            on_done(result)
            done.append(result)
        Presences(self._home).sweep()
        keep_ballast(self._home)
        return done

    @asynccontextmanager
    async def alone(self, *, wait: bool) -> AsyncIterator[bool]:
        """Whether nobody else prunes while the block runs.

        Args:
            wait: wait for whoever does; else the answer may be no.
        """
        descriptor = os.open(self._home / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while not (ours := take_lock(descriptor)) and wait:
                self._on_step("waiting for another process that prunes")
                await asyncio.sleep(_WAIT_SECONDS)
            yield ours
        finally:
            os.close(descriptor)

    async def maintain(self) -> list[Done]:
        """Prune, as a program does that runs for days: nothing while somebody else does. Never raises for what it finds.

        Raises:
            RecordError: the records cannot be read.
        """
        try:
            async with self.alone(wait=False) as ours:
                if not ours:
                    return []
                return (await self.prune(thorough=False))[1]
        except OSError as error:
            raise RecordError(f"the state directory cannot be pruned: {error.strerror}") from error

    async def prune(
        self, on_done: Callable[[Done], None] = _ignored, *, days: float | None = None, thorough: bool = True
    ) -> tuple[Plan, list[Done]]:
        """Decide, and carry it out; again where that has made room on a disk on which nothing could be looked at.

        Returns:
            The last plan, and what became of everything that was to go.

        Raises:
            RecordError: the records cannot be read.
        """
        done: list[Done] = []
        for _ in range(_MOST_ROUNDS):
            plan = await self.plan(days=days, thorough=thorough)
            carried = await self.carry_out(plan, on_done)
            done += carried
            if not (plan.uncertain and any(each.gone for each in carried)):
                break
        return plan, done

    def _may_be_too_much(self, rule: Rule) -> bool:
        with suppress(OSError):
            return 0 < rule.most_bytes < shutil.disk_usage(self._home).used
        return bool(rule.most_bytes)

    async def _each(self, things: Sequence[T], work: Callable[[T], Awaitable[R]], what: str) -> list[R]:
        """Do something about each of many things, a few at a time."""
        count = 0

        async def one(each: T) -> R:
            nonlocal count
            async with self._room:
                result = await work(each)
            count += 1
            self._on_step(f"{what}: {count} of {len(things)}")
            return result

        with first_error():
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(each)) for each in things]
        return [task.result() for task in tasks]

    async def _measured(self, known: Known) -> Known:
        """With its size. That of a task that is over does not change, so it is measured once."""
        key = (known.holding.name, known.generation)
        if known.holding.kind != "task" or known.holding.needed or key not in self._sizes:
            self._sizes[key] = await self._premises.size(known.holding.paths)
        return known.but(bytes=self._sizes[key])

    async def _looked_at(self, known: Known) -> Known:
        return await self._examined(await self._measured(known))

    async def _examined(self, known: Known) -> Known:
        """With what would be lost with it."""
        if known.holding.obstacle is not None or known.holding.needed:
            return known
        try:
            found = await obstacle(known, self._premises, self._workspaces)
        except KugetsuError as error:
            return msgspec.structs.replace(known.but(obstacle=f"it cannot be looked at: {error}"), uncertain=True)
        return known.but(obstacle=found.reason if found else "", command=found.command if found else "")

    async def _keep_mirrors(self, plan: Plan) -> list[Done]:
        """Pack mirrors that stay and have become slow; says of which it failed, to be tried the next time."""
        failed = []
        for item, known in zip(plan.items, plan.known, strict=True):
            if item.holding.kind == "mirror" and not item.goes and self._premises.needs_packing(known.path):
                self._on_step(f"packing {known.path.name}")
                try:
                    await self._premises.pack(known.path)
                except KugetsuError as error:
                    failed.append(Done(item=item, gone=False, why=f"it could not be packed anew: {error}"))
        return failed


def _order(pair: tuple[Item, Known]) -> tuple[bool, int, float]:
    """Mirrors come last; what takes no look at files comes first, for that needs some room on the disk."""
    holding = pair[0].holding
    return holding.kind == "mirror", len(holding.paths), holding.since


def _unseen(known: Known) -> bool:
    return known.holding.obstacle is None or known.holding.bytes is None
