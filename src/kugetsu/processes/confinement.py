"""Limits of commands, by the best means that the machine allows: control groups, else a look at all processes now and then."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from kugetsu.concurrency import finish
from kugetsu.processes.groups import CONTROLLERS, Place
from kugetsu.processes.hierarchies import UnusableError, own_places, usable
from kugetsu.processes.limits import CommandLimits
from kugetsu.processes.rooms import Launcher, Room, processes_flag, trial
from kugetsu.processes.table import read_table
from kugetsu.processes.task_groups import TaskGroups, in_thread
from kugetsu.processes.watcher import LOOK_SECONDS, Watcher

_NAMES: Final = {"memory": "memory", "pids": "processes", "cpu": "CPU"}


class Confinement:
    """Holds each command to its limits, and knows which processes belong to a task.

    Args:
        limits: of each command.
        groups: where commands run, if groups can be used; else they are watched.
        why: why nothing better is used, in words.

    Attributes:
        limits: of each command.
        kind: by what means, in words.
        why: why not by better ones, in words; empty when there are none.
    """

    def __init__(self, limits: CommandLimits, groups: TaskGroups | None = None, why: str = "") -> None:
        self.limits = limits
        self.why = why
        self._groups = groups
        self._held = frozenset(name for place in groups.places for name in place.controllers) if groups else frozenset()
        looked_at = CommandLimits(
            memory_bytes=0 if "memory" in self._held else limits.memory_bytes,
            processes=0 if "pids" in self._held else limits.processes,
        )
        watch = bool(looked_at.memory_bytes or looked_at.processes) and _sees_processes()
        self._watcher = Watcher(looked_at) if watch else None
        self._launcher = Launcher(
            limits,
            processes_flag=processes_flag() if looked_at.processes else "",
            data=bool(looked_at.memory_bytes),
        )
        self.kind = self._kind()

    @classmethod
    def find(cls, home: Path, limits: CommandLimits, places: Sequence[Place] | None = None) -> "Confinement":
        """See what this machine allows, and end what dead programs of a state directory left running. Never fails.

        Blocks for some milliseconds. In version 2 of control groups this program moves into a group of its own.

        Args:
            home: the state directory.
            limits: of each command.
            places: groups to make others in, instead of those that this program is in.
        """
        try:
            groups = TaskGroups(home, limits, usable(own_places()) if places is None else list(places))
        except UnusableError as error:
            return cls(limits, why=f"no control groups: {error}")
        found = cls(limits, groups, why=groups.problems)
        if problem := found._try():
            groups.give_up()
            return cls(limits, why=f"no control groups: {problem}")
        return found

    @asynccontextmanager
    async def room(self, task: str) -> AsyncIterator[Room]:
        """Give room to one command of a task; at once. What it leaves in the background stays within its limits.

        Raises:
            OSError: the machine refused.
        """
        watched = self._watcher.watch(task) if self._watcher else None
        group = None
        try:
            group = self._groups.open(task) if self._groups else None
            yield Room(self._launcher, group, watched)
        finally:
            if watched:
                watched.leave()
            if self._groups and group:
                self._groups.leave(task, group)

    async def end(self, task: str) -> bool:
        """Kill whatever still runs of a task's commands, and forget the task. May be called twice. Never raises.

        Returns:
            Whether it is certain that nothing is left.

        With control groups that is everything, however it hides, also what a program that is gone left of the task.
        """
        certain = self._groups is not None and await self._groups.end(task)
        if self._watcher and self._watcher.watches(task):
            await in_thread(self._watcher.end, task)
        return certain

    async def close(self) -> None:
        """Kill whatever still runs of all tasks, and leave nothing behind. Never raises."""
        await finish(self._close())

    async def _close(self) -> None:
        if self._groups:
            await self._groups.close()
        if self._watcher:
            await in_thread(self._watcher.close)

    def _try(self) -> str:
        """Why a command could not be run in a group; empty when it could."""
        if self._groups is None:
            return ""
        try:
            group = self._groups.open("trial")
        except OSError as error:
            return str(error)
        problem = trial(self._launcher.wrap(["/bin/sh", "-c", ":"], group.joins))
        self._groups.drop("trial", group)
        return problem

    def _kind(self) -> str:
        versions = sorted({place.version for place in self._groups.places}) if self._groups else []
        held = ", ".join(_NAMES[name] for name in CONTROLLERS if name in self._held)
        parts = [f"cgroup v{' and v'.join(map(str, versions))} ({held or 'to find processes'})"] if versions else []
        if self._watcher:
            limits = self._watcher.limits
            names = ("memory" * bool(limits.memory_bytes), "processes" * bool(limits.processes))
            parts.append(f"{' and '.join(filter(None, names))} looked at every {LOOK_SECONDS:g} s")
        return ", ".join(parts) or "no limits"


def _sees_processes() -> bool:
    try:
        return bool(read_table())
    except OSError:
        return False
