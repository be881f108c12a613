"""What users do with tasks, on the store of this machine: `protocols.TaskService` for gateways and the command line."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from kugetsu.app import desk
from kugetsu.app.house import House
from kugetsu.app.projects import project_of, subject_of
from kugetsu.app.records import Records
from kugetsu.config import ProjectSettings, Settings
from kugetsu.engine import Presences
from kugetsu.errors import UsageError
from kugetsu.protocols import Accepted, Delivery, NewTask, ShadowInfo, Stats, SystemClock, TaskDetails
from kugetsu.storage import SqlStore
from kugetsu.tasks import Control, Limits, Resume, Task

_RETRY_SECONDS: Final = 24 * 3600.0
"""How long news are tried when somebody asks for it."""

_LIMITS: Final = Limits.__struct_fields__
_TAKEN_OVER: Final = ("check_seconds", "instructions", "attempts", "commit_leftovers", "keep_workspace")
"""Fields of a new task that are the task's own when they are not None."""


class LocalTasks(Records):
    """Does what users ask for in an open house. Implements `protocols.TaskService`."""

    def __init__(self, house: House) -> None:
        super().__init__(house.store, house.home, house.environ, house.presences, house.clock)
        self._house = house
        self._since = house.clock.monotonic()

    async def submit(self, new: NewTask) -> Accepted:
        """Put a task into the queue; see `protocols.TaskService`."""
        after = tuple(dict.fromkeys([(await self._store.find(name)).id for name in dict.fromkeys(new.after)]))
        submitted = await desk.submit(self._house, _task(self._house, new, after), key=new.key)
        return Accepted(await self._details(submitted.record), submitted.created)

    async def control(self, task: str, control: Control) -> TaskDetails:
        """Do what a user asks for; see `protocols.TaskService`."""
        await self._free_tasks_of_the_dead()
        record = await self._store.control((await self._store.find(task)).id, control)
        self._presences.call_all()
        return await self._details(await self._current(record))

    async def resume(self, task: str, limits: dict[str, float]) -> TaskDetails:
        """Let a task go on, with some of its limits changed; see `protocols.TaskService`."""
        if unknown := sorted(set(limits) - set(_LIMITS)):
            raise UsageError(f"there is no limit {unknown[0]!a}", fix=f"limits are {', '.join(_LIMITS)}")
        return await self.control(task, Resume(await desk.new_limits(self._house, task, limits)))

    async def shadows(self) -> Sequence[ShadowInfo]:
        """Which shadows live in this program."""
        return self._house.worker.shadows.list()

    async def stats(self) -> Stats:
        """How things stand."""
        gate = self._house.capacity.gate
        now = gate.status()
        return msgspec.structs.replace(
            await super().stats(),
            shadows=self._house.worker.shadows.spawned,
            task_slots=gate.limits.task_slots,
            most_pending=self._house.settings.queue.most_pending,
            commands=now.commands,
            commands_waiting=now.waiting,
            memory_available=now.machine.memory_available,
            uptime=self._clock.monotonic() - self._since,
        )

    async def retry_deliveries(self, ids: Collection[int] = ()) -> Sequence[Delivery]:
        """Try news again; see `protocols.TaskService`."""
        again = await self._store.retry_deliveries(ids, expires_at=self._clock.now() + _RETRY_SECONDS)
        self._presences.call_all()
        return again


@asynccontextmanager
async def open_local(settings: Settings, home: Path, environ: Mapping[str, str]) -> AsyncIterator[LocalTasks]:
    """Open the store of this machine for whoever wants to change something; it is made if it is missing.

    Raises:
        ConfigError: the state directory cannot be used.
        RecordError: the store cannot be used.
    """
    async with House(settings, home, environ, name="kugetsu") as house:
        yield LocalTasks(house)


@asynccontextmanager
async def open_records(home: Path, environ: Mapping[str, str]) -> AsyncIterator[Records]:
    """Open the store of this machine to look at it: nothing is made, and it need not be writable.

    Raises:
        RecordError: it cannot be read.
    """
    store = await SqlStore.open(home, create=False)
    try:
        yield Records(store, home, environ, Presences(home), SystemClock())
    finally:
        await store.close()


def bounded(new: NewTask, settings: Settings) -> NewTask:
    """The same task, with no limit looser than those in force: for callers who may not widen anything.

    Raises:
        UsageError: a limit cannot be so.
    """
    most = {"check_seconds": settings.check_seconds, "attempts": settings.queue.attempts}
    others = {name: min(value, most[name]) for name in most if (value := getattr(new, name)) is not None}
    return msgspec.structs.replace(new, **bounded_limits(_given(new), settings.limits), **others)


def bounded_limits(asked: Mapping[str, float], limits: Limits) -> dict[str, float]:
    """Limits that are asked for by name, none looser than those in force.

    Raises:
        UsageError: a limit cannot be so.
    """
    wanted: dict[str, Any] = {**dict.fromkeys(_LIMITS, 0), **asked}
    try:
        tight = limits.tightened(msgspec.convert(wanted, Limits, strict=False))
    except ValueError as error:
        raise UsageError(f"limits: {error}") from error
    return {name: getattr(tight, name) for name in asked}


def _given(new: NewTask) -> dict[str, Any]:
    """The limits that a new task names."""
    return {name: value for name in _LIMITS if (value := getattr(new, name)) is not None}


def _task(house: House, new: NewTask, after: tuple[str, ...]) -> Task:
    """Make the task that somebody wants.

    Raises:
        UsageError: something in it cannot be so.
    """
    settings, now = house.settings, house.clock.now()
    subject = subject_of(new.subject, settings.projects) if new.subject else None
    project = project_of(subject, settings.projects) if subject else ProjectSettings()
    if not (repo := new.repo or project.repo):
        raise UsageError("the task names no repository", fix="name its path or URL, or an issue of a project")
    start_at = max(new.start_at, now + new.delay if new.delay else 0.0)
    if new.deadline_at and new.deadline_at <= max(start_at, now):
        raise UsageError("the deadline is over before the task may start", fix="give a later deadline")
    try:
        task = house.task(
            repo,
            new.prompt,
            model=new.model or project.model,
            base=new.base,
            check=new.check if new.check is not None else project.check or None,
            notices=new.notices,
            priority=new.priority,
            start_at=start_at,
            deadline_at=new.deadline_at,
            after=after,
            subject=str(subject or ""),
            reply_to=new.reply_to,
            queued=True,
        )
        own = {name: value for name in _TAKEN_OVER if (value := getattr(new, name)) is not None}
        return msgspec.structs.replace(task, **own, limits=msgspec.structs.replace(task.limits, **_given(new)))
    except ValueError as error:
        raise UsageError(f"the task cannot be so: {error}") from error
