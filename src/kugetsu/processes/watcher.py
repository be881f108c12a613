"""Holds commands to their limits where no control group does: one thread looks at all their processes now and then.

What belongs to a command is what descends from it, is in a session of such a process, or carries its mark. One that shed all
three between two looks is lost sight of.
"""

import contextlib
import errno
import secrets
import signal
import threading
import time
from collections import deque
from typing import Final

from kugetsu.processes.census import signal_all
from kugetsu.processes.limits import CommandLimits
from kugetsu.processes.table import Row, own_share, read_table, variable_of

LOOK_SECONDS: Final = 0.5
"""Time between two looks."""

ROOM_MARKER: Final = "KUGETSU_ROOM"
"""Environment variable that tells the processes of one command from all others."""

_MOST_ROUNDS: Final = 50
"""How often a tree is searched for processes that still live or were just born."""

_ROUND_SECONDS: Final = 0.002

_MOST_TRIES: Final = 10
_TRY_SECONDS: Final = 0.05
"""How often, and after which time, it is tried again to look at the machine before a task is ended."""


class Watched:
    """One command that is watched. Made by `Watcher.watch`.

    Attributes:
        task: whose.
        mark: value of `ROOM_MARKER` in the environment of its processes.
        words: why it was ended, for the model; empty while it was not.
        held: whether its call is still going on.
        members: its processes at the last look, with when they were started.
        sessions: those that they were in.
    """

    def __init__(self, task: str) -> None:
        self.task = task
        self.mark = secrets.token_hex(8)
        self.words = ""
        self.held = True
        self.members: dict[int, int] = {}
        self.sessions: set[int] = set()
        self._new: deque[int] = deque()

    def entered(self, pid: int) -> None:
        """Told that the command, or another part of it, runs, in a session of its own. Never raises."""
        self._new.append(pid)

    def leave(self) -> None:
        """Told that the call is over; what it left in the background is watched on."""
        self.held = False

    def welcome(self) -> None:
        """Before a look: count what entered since the last one."""
        while self._new:
            self.sessions.add(self._new.popleft())


class Watcher:
    """Watches commands of all tasks.

    Args:
        limits: of each command.

    Attributes:
        limits: of each command.
    """

    def __init__(self, limits: CommandLimits) -> None:
        self.limits = limits
        self._change = threading.Condition()
        self._watched: list[Watched] = []
        self._thread: threading.Thread | None = None
        self._looking = threading.Lock()
        self._strangers: dict[int, int] = {}

    def watch(self, task: str) -> Watched:
        """Watch one more command.

        Raises:
            OSError: the machine has no thread left.
        """
        watched = Watched(task)
        with self._change:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="kugetsu-watcher", daemon=True)
                self._thread = thread
                try:
                    thread.start()
                except RuntimeError as error:
                    self._thread = None
                    raise OSError(errno.EAGAIN, str(error)) from error
            self._watched.append(watched)
            self._change.notify()
        return watched

    def watches(self, task: str) -> bool:
        """Whether there may be something left of a task's commands."""
        return any(watched.task == task for watched in self._now())

    def end(self, task: str) -> bool:
        """Kill what is left of a task's commands, blocking until it is gone, and forget them. Never raises.

        Returns:
            False when the machine kept it from being looked at: it has not been forgotten.
        """
        return self._drop([watched for watched in self._now() if watched.task == task])

    def close(self) -> bool:
        """Kill what is left of all commands, as far as it can be looked at, and watch no more. Never raises."""
        done = self._drop(self._now())
        with self._change:
            self._thread = None
            self._change.notify()
        return done

    def _drop(self, those: list[Watched]) -> bool:
        for _ in range(_MOST_TRIES if those else 0):
            try:
                with self._looking:
                    self._read()
                    for watched in those:
                        self._kill(watched)
            except OSError:  # no descriptor left
                time.sleep(_TRY_SECONDS)
            else:
                self._forget(those)
                return True
        return not those

    def _forget(self, those: list[Watched]) -> None:
        with self._change:
            self._watched = [watched for watched in self._watched if watched not in those]

    def _now(self) -> list[Watched]:
        with self._change:
            return list(self._watched)

    def _run(self) -> None:
        me = threading.current_thread()
        while True:
            with self._change:
                while self._thread is me and not self._watched:
                    self._change.wait()
            time.sleep(LOOK_SECONDS)
            if self._thread is not me:
                return
            # What cannot be read this time (no descriptor left) is looked at again.
            with contextlib.suppress(OSError), self._looking:
                self._look()

    def _look(self) -> None:
        left = [watched for watched in self._now() if not watched.held]
        table = self._read()
        for watched in self._now():
            if watched.words or (words := self._excess(watched, table)):
                watched.words = watched.words or words
                self._kill(watched)
        self._forget([watched for watched in left if not watched.members])

    def _excess(self, watched: Watched, table: dict[int, Row]) -> str:
        rows = {pid: table[pid] for pid in watched.members if pid in table}
        most = self.limits.memory_bytes
        # What processes share is counted for each at first, and exactly only if that is too much.
        if (
            most
            and sum(row.memory for row in rows.values()) > most
            and sum(own_share(pid, row.memory) for pid, row in rows.items()) > most
        ):
            return f"The command was killed because it used {self.limits.memory_words}"
        if self.limits.processes and sum(row.threads for row in rows.values()) > self.limits.processes:
            return f"The command was killed because it had more than {self.limits.processes_words}"
        return ""

    def _read(self) -> dict[int, Row]:
        """Look at all processes, and find those of every command."""
        all_watched = self._now()
        for watched in all_watched:
            watched.welcome()
        table = read_table()
        owners = self._owners(all_watched, table)
        self._strangers = {
            pid: started for pid, started in self._strangers.items() if pid in table and pid not in owners
        }
        for watched in all_watched:
            watched.members = {pid: table[pid].started for pid, owner in owners.items() if owner is watched}
            # A number of a session is not given away while one of its processes lives.
            watched.sessions = {table[pid].session for pid in watched.members}
        return table

    def _owners(self, all_watched: list[Watched], table: dict[int, Row]) -> dict[int, Watched]:
        sessions = {session: watched for watched in all_watched for session in watched.sessions if session}
        marks = {watched.mark: watched for watched in all_watched}
        owners = {
            pid: watched
            for watched in all_watched
            for pid, started in watched.members.items()
            if pid in table and table[pid].started == started
        }
        for pid, row in table.items():
            if pid not in owners and (owner := sessions.get(row.session) or self._by_mark(pid, row, marks)):
                owners[pid] = owner
        _add_descendants(owners, table)
        return owners

    def _by_mark(self, pid: int, row: Row, marks: dict[str, Watched]) -> Watched | None:
        if self._strangers.get(pid) == row.started:
            return None
        owner = marks.get(variable_of(pid, ROOM_MARKER))
        if owner is None:
            self._strangers[pid] = row.started
        return owner

    def _kill(self, watched: Watched) -> None:
        """Stop all of it first, since what is stopped starts nothing, then kill it."""
        stopped: set[int] = set()
        for _ in range(_MOST_ROUNDS):
            new = set(watched.members) - stopped
            if not new:
                break
            signal_all(new, signal.SIGSTOP)
            stopped |= new
            self._read()
        for _ in range(_MOST_ROUNDS):
            if not watched.members:
                return
            signal_all(watched.members, signal.SIGKILL)
            time.sleep(_ROUND_SECONDS)
            self._read()


def _add_descendants(owners: dict[int, Watched], table: dict[int, Row]) -> None:
    """Whoever was started by a process belongs where it belongs."""
    children: dict[int, list[int]] = {}
    for pid, row in table.items():
        children.setdefault(row.parent, []).append(pid)
    pending = list(owners)
    while pending:
        pid = pending.pop()
        for child in children.get(pid, ()):
            if child not in owners:
                owners[child] = owners[pid]
                pending.append(child)
