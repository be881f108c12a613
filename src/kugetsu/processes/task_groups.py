"""The groups of this program: one for each command at a time, named after its task.

<group of the program> / kugetsu-<state directory>-<process id>-<random> / <task>.<number>

Making and removing one in every hierarchy of version 1 takes the kernel two milliseconds, so an empty one in which nothing
happened that would have to be told serves the task's next command.
"""

import asyncio
import hashlib
import itertools
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final

from kugetsu.processes.groups import SELF, Group, Place
from kugetsu.processes.hierarchies import UnusableError, settle, unsettle
from kugetsu.processes.limits import CommandLimits
from kugetsu.processes.traces import Traces

_PROGRAM: Final = re.compile(r"kugetsu-[0-9a-f]{8}-([0-9]+)-[0-9a-f]{8}")

_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")

_MOST_SPARE: Final = 256
"""Empty groups that are kept, one for a task; the kernel takes some memory for each."""

_MOST_ROUNDS: Final = 30
"""How often processes are killed until they are gone, some two seconds in all."""

_SHORTEST_WAIT: Final = 0.001
_LONGEST_WAIT: Final = 0.1


class TaskGroups:
    """Makes groups for commands, and ends those of a task with everything in them.

    Args:
        home: the state directory; what dead programs of it left is ended at once.
        limits: of each command.
        places: the groups that this program is in, see `usable`.

    Attributes:
        places: those that could be used.
        problems: why the others could not, in words.

    Raises:
        UnusableError: none can be used.
    """

    def __init__(self, home: Path, limits: CommandLimits, places: list[Place]) -> None:
        self._limits = limits
        self._numbers = itertools.count(1)
        self._used: dict[str, list[Group]] = {}
        self._spare: OrderedDict[str, Group] = OrderedDict()
        self._traces = Traces(home, secrets.token_hex(4))
        self._sweep()
        _tidy(places)
        settled, self.problems = self._settle(places, self._traces.group)
        self._base = Group(settled)
        self.places = settled

    def open(self, task: str) -> Group:
        """Give a group to one more command.

        Raises:
            OSError: the machine refused.
        """
        name = _name(task)
        group = self._spare.pop(name, None)
        if group is None or not group.exists:
            group = self._made(name)
        self._used.setdefault(name, []).append(group)
        return group

    def _made(self, name: str) -> Group:
        group = self._base.child(f"{name}.{next(self._numbers)}")
        try:
            try:
                group.make()
            except FileNotFoundError:  # somebody tidied up
                self._base.make(parent=True)
                group.make()
            group.limit(self._limits)
        except OSError:
            group.remove()
            raise
        return group

    def drop(self, task: str, group: Group) -> None:
        """The command is over, and there will be no other one. Never raises."""
        self._used.pop(_name(task), None)
        group.remove()

    def leave(self, task: str, group: Group) -> None:
        """The command is over. Its group serves the next one, or goes, as soon as nothing runs in it. Never raises.

        Args:
            task: whose.
            group: what `open` gave.
        """
        name = _name(task)
        group.over = True
        if left := [each for each in self._used.pop(name, ()) if not (each.over and self._put_away(name, each))]:
            self._used[name] = left

    def _put_away(self, name: str, group: Group) -> bool:
        """Keep an empty group, or remove it; False while something runs in it."""
        if name in self._spare or not group.pristine:
            return group.remove()
        group.over = False
        self._spare[name] = group
        if len(self._spare) > _MOST_SPARE:
            self._spare.popitem(last=False)[1].remove()
        return True

    async def end(self, task: str) -> bool:
        """Kill everything of a task, also what a program that is gone left of it; whether it is gone. Never raises.

        What is not gone is ended by the next call.
        """
        name = _name(task)
        certain = not self._traces.any_others() or await in_thread(self._sweep, name)
        if spare := self._spare.pop(name, None):
            spare.over = True
            self._used.setdefault(name, []).append(spare)
        those = set(self._used.get(name, ()))
        for round_ in range(_MOST_ROUNDS):
            # They stay known while this waits: it may be cancelled, and others may ask for the same.
            left = [group for group in self._used.pop(name, ()) if not (group in those and group.end())]
            if left:
                self._used[name] = left
            if those.isdisjoint(left):
                return certain
            await asyncio.sleep(_wait(round_))
        return False

    async def close(self) -> None:
        """Kill what is left of all tasks, and leave no group behind. Never raises."""
        for name in [*self._used, *self._spare]:
            await self.end(name)
        self.give_up()

    def give_up(self) -> None:
        """Leave no group behind that nothing runs in. Never raises."""
        for place in self.places:
            unsettle(place)
        if not any(Path(place.path).exists() for place in self.places):
            self._traces.clear()

    def _settle(self, places: list[Place], name: str) -> tuple[tuple[Place, ...], str]:
        try:
            self._traces.leave([f"{place.path}/{name}" for place in places])
        except OSError as error:
            raise UnusableError(f"{error.filename or 'the state directory'}: {error.strerror}") from None
        settled, problems = [], []
        for place in places:
            try:
                settled.append(settle(place, name))
            except UnusableError as error:
                problems.append(str(error))
        if not settled:
            self._traces.clear()
            raise UnusableError("; ".join(problems) or "this machine has none")
        # In version 2 the program is in a group beside those of commands; in version 1 it is beside their common one.
        Group(tuple(place for place in settled if place.version == 1)).limit(
            CommandLimits(cpu_weight=self._limits.cpu_weight)
        )
        return tuple(settled), "; ".join(problems)

    def _sweep(self, name: str = "") -> bool:
        """End what dead programs left, and the groups of a task by whichever program; blocking. Never raises.

        Returns:
            Whether all of that is gone.
        """
        gone = True
        try:
            for base, dead in self._traces.others():
                names = base.names() - {SELF}
                gone &= _end_all([base.child(each) for each in names if dead or (name and each.startswith(f"{name}."))])
                if dead:
                    base.child(SELF).remove()
                    base.remove()
        except OSError:
            return False
        return gone


async def in_thread(function: Callable[..., bool], *args: object) -> bool:
    """What a blocking function says; False when the machine has no thread for it. Never raises by itself."""
    try:
        return await asyncio.to_thread(function, *args)
    except RuntimeError:
        return False


def _tidy(places: list[Place]) -> None:
    """Remove empty groups of programs that are gone, of state directories that may be gone, too. Never raises."""
    around = Group(tuple(places))
    for name in around.names():
        if (match := _PROGRAM.fullmatch(name)) and not Path(f"/proc/{match.group(1)}").exists():
            base = around.child(name)
            for child in base.names():
                base.child(child).remove()
            base.remove()


def _end_all(groups: list[Group]) -> bool:
    left = [group for group in groups if not _end_one(group)]
    return not left


def _end_one(group: Group) -> bool:
    for round_ in range(_MOST_ROUNDS):
        if group.end():
            return True
        time.sleep(_wait(round_))
    return False


def _wait(round_: int) -> float:
    return min(_SHORTEST_WAIT * float(1 << round_), _LONGEST_WAIT)


def _name(task: str) -> str:
    """How groups of a task begin."""
    return task if _PLAIN.fullmatch(task) else hashlib.sha256(task.encode(errors="surrogatepass")).hexdigest()
