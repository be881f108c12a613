"""What there is on the disk, joined with what the records say of it: the facts on which it is decided what may go."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from kugetsu.app.keeping import Holding
from kugetsu.errors import KugetsuError, RecordError, TaskNotFoundError
from kugetsu.protocols import Desk
from kugetsu.tasks import Place, TaskRecord, TaskState
from kugetsu.workspace import Inventory, Premises, borrowers_of

UNFINISHED: Final[tuple[TaskState, ...]] = ("pending", "running", "waiting", "paused")
"""Where a task may stand that is not over."""

_DAMAGED: Final = "the record of its task cannot be read"

OnStep = Callable[[str], None]
"""Told what is being done, in a few words that take the place of those before."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A thing, and what whoever removes it has to know beside.

    Attributes:
        generation: of the task when it was looked at; -1 for one that no record knows.
        place: where the task's work is; None when it has none, or when it cannot be told.
        source: the repository that the work came from, None when that is not known.
        uncertain: whether the machine kept it from being looked at.
    """

    holding: Holding
    generation: int = -1
    place: Place | None = None
    source: Path | None = None
    uncertain: bool = False

    @property
    def path(self) -> Path:
        """Where it is; for a task the first of its directories."""
        return Path(self.holding.paths[0])

    def but(self, **changes: Any) -> "Known":  # noqa: ANN401 - fields of the holding
        """The same, with something else about the thing."""
        return msgspec.structs.replace(self, holding=msgspec.structs.replace(self.holding, **changes))


class Survey:
    """Looks at everything once.

    Args:
        store: what is known of tasks.
        premises: the disk.
        on_step: see `OnStep`.
    """

    def __init__(self, store: Desk, premises: Premises, on_step: OnStep) -> None:
        self._store = store
        self._premises = premises
        self._on_step = on_step
        self._records: dict[str, TaskRecord] = {}
        self._damaged: set[str] = set()
        self._lent: dict[Path, list[str]] = {}
        self._needs: dict[str, str] = {}

    async def take(self) -> list[Known]:
        """Everything there is, but for sizes, and for obstacles that only a closer look shows.

        Raises:
            RecordError: the records cannot be read.
        """
        self._on_step("reading the records")
        # Records come last: what is made after they were read is not in the inventory.
        found = await self._premises.inventory()
        self._premises.sweep_locks(found.locks)
        self._lent = await self._premises.borrowed()
        unfinished = await self._unfinished()
        asides = [worktree.partition("-")[0] for worktree, _ in found.asides]
        await self._read_records([*found.tasks, *asides])
        tasks = [await self._task(name, found) for name in sorted({*found.repositories, *found.worktrees})]
        return [
            *await self._with_merged(tasks),
            *[self._scratch(name, path) for name, path in found.scratch.items()],
            *[self._mirror(path, unfinished) for path in found.mirrors],
            *[await self._aside(worktree.partition("-")[0], path) for worktree, path in found.asides],
            *[_rest(path) for path in (*found.gone, *found.unfinished)],
            *[_stranger(path) for path in found.strangers],
        ]

    async def _unfinished(self) -> list[TaskRecord]:
        """The tasks that are not over; notes what they need of others to begin."""
        unfinished = []
        for report in await self._store.reports(states=UNFINISHED):
            record = await find_record(self._store, report.id)
            if record and not record.final:
                unfinished.append(record)
                self._needs |= await needs_of(self._store, self._premises, record)
        return unfinished

    async def _read_records(self, names: Iterable[str]) -> None:
        for name in dict.fromkeys(names):
            try:
                record = await find_record(self._store, name)
            except RecordError:
                self._damaged.add(name)
                continue
            if record:
                self._records[name] = record

    async def _task(self, name: str, found: Inventory) -> Known:
        """The worktree and the private repository of one task."""
        record = self._records.get(name)
        repository, worktrees = found.repositories.get(name), found.worktrees.get(name, [])
        paths = [*worktrees, *([repository] if repository else [])]
        known = Known(
            holding=Holding(
                kind="task" if record else "unrecorded",
                name=name,
                paths=tuple(map(str, paths)),
                borrowers=self._borrowers(repository, name),
                wanted=bool(record and record.task.keep_workspace),
                needed=self._needed(name),
            )
        )
        if known.holding.needed:
            return known
        place = (record and record.place) or self._premises.unrecorded_place(name, worktrees)
        known = known.but(since=await self._ended(record) if record else self._premises.touched_at(*paths))
        if place is None or any(worktree.name != Path(place.path).name for worktree in worktrees):
            return known.but(obstacle="no record says what is in it", command=f"ls -a {paths[0]}")
        generation = record.generation if record else -1
        source = self._premises.source_of(place)
        return msgspec.structs.replace(known, generation=generation, place=place, source=source)

    def _needed(self, name: str) -> str:
        """Why what belongs to a task is not to be touched; empty when it is over, or nobody knows it."""
        record = self._records.get(name)
        if name in self._damaged:
            return _DAMAGED
        if record and not record.final:
            return f"its task is {record.state}"
        return self._needs.get(name, "")

    async def _ended(self, record: TaskRecord) -> float:
        """When a task that is over ended."""
        ends = [run.ended_at for run in await self._store.runs(record.id) if run.ended_at]
        return max(ends, default=record.task.created_at)

    def _borrowers(self, repository: Path | None, name: str) -> tuple[str, ...]:
        return tuple(each for each in borrowers_of(repository, self._lent) if each != name) if repository else ()

    async def _with_merged(self, tasks: list[Known]) -> list[Known]:
        """The same, with what is known of their branches in the repositories that they came from."""
        sources: dict[Path, list[Place]] = {}
        for known in tasks:
            if known.source and known.place:
                sources.setdefault(known.source, []).append(known.place)
        merged: set[str] = set()
        for number, (source, places) in enumerate(sources.items(), 1):
            self._on_step(f"looking for merged branches in {number} of {len(sources)} repositories")
            with suppress(KugetsuError):  # damaged, or gone: whoever looks at the tasks says so
                merged |= await self._premises.merged(source, places)
        return [known.but(merged=bool(known.place and known.place.branch in merged)) for known in tasks]

    def _scratch(self, name: str, path: Path) -> Known:
        record = self._records.get(name)
        # Of one that no record knows nobody can say whether it is over: its age has to do.
        since = 0.0 if record else self._premises.touched_at(path, path / "tmp")
        needed = _DAMAGED if name in self._damaged else ""
        if record and not record.final:
            needed = f"its task is {record.state}"
        holding = Holding(
            kind="scratch", name=name, paths=(str(path),), needed=needed, since=since, obstacle="", bytes=None
        )
        return Known(holding=holding, generation=record.generation if record else -1)

    def _mirror(self, path: Path, unfinished: Iterable[TaskRecord]) -> Known:
        lent = set(borrowers_of(path, self._lent))
        for name, record in self._records.items():  # also of those that an agent made borrow from elsewhere
            if record.place and self._premises.source_of(record.place) == path and self._premises.has_repository(name):
                lent.add(name)
        users = [record for record in unfinished if self._premises.mirror_of(record.task) == path]
        holding = Holding(
            kind="mirror",
            name=path.name,
            paths=(str(path),),
            since=self._premises.last_used(path),
            borrowers=tuple(sorted(lent)),
            needed=f"task {users[0].id}, which is {users[0].state}, works on it" if users else "",
        )
        return Known(holding=holding)

    async def _aside(self, name: str, path: Path) -> Known:
        record = self._records.get(name)
        holding = Holding(kind="aside", name=path.name, paths=(str(path),), since=self._premises.touched_at(path))
        return Known(holding=holding, source=await self._premises.repository_of(record.task) if record else None)


async def find_record(store: Desk, name: str) -> TaskRecord | None:
    """The record of a task by its whole id; None when there is none.

    Raises:
        RecordError: it cannot be read.
    """
    try:
        record = await store.find(name)
    except TaskNotFoundError:
        return None
    return record if record.id == name else None


async def needs_of(store: Desk, premises: Premises, record: TaskRecord) -> dict[str, str]:
    """The tasks without whose files a task that is not over could not begin, and why; none once it was begun.

    Raises:
        RecordError: it cannot be read.
    """
    if record.final or record.place:
        return {}
    needs = {}
    if lender := premises.lender_of(record.task):
        needs[lender] = f"task {record.id}, which has not begun, works on it"
    if origin := await _origin_of(store, record):
        needs[origin] = f"task {record.id}, which has not begun, is a fork of it"
    return needs


async def _origin_of(store: Desk, record: TaskRecord) -> str:
    """The task whose snapshots a fork will begin with; empty for a task that is none, is over, or was begun.

    Raises:
        RecordError: it cannot be read.
    """
    task = record.task
    while task.forked_from and not record.final and record.place is None:
        original = await find_record(store, task.forked_from.partition(":")[0])
        if original is None or original.place:
            return original.id if original else ""
        task = original.task
    return ""


def _rest(path: Path) -> Known:
    return Known(holding=Holding(kind="rest", name=path.name, paths=(str(path),), obstacle=""))


def _stranger(path: Path) -> Known:
    holding = Holding(kind="stranger", name=path.name, paths=(str(path),), obstacle="it is nothing that Kugetsu makes")
    return Known(holding=holding)
