"""Room for one command: it gets into its limits by itself, before it becomes what was asked for and can start anything."""

import contextlib
import resource
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from kugetsu.processes.groups import Group
from kugetsu.processes.limits import OUT_OF_MEMORY, OUT_OF_PROCESSES, CommandLimits
from kugetsu.processes.protection import command_score
from kugetsu.processes.table import threads_now
from kugetsu.processes.watcher import ROOM_MARKER, Watched

_SHELL: Final = "/bin/sh"
"""Small and quick on most systems: about 0.7 ms of CPU for one command."""

_KIB: Final = 1024

_REFUSED: Final = 126
"""Exit code of shells for what cannot be run."""


class Launcher(msgspec.Struct, frozen=True):
    """Puts commands into their limits: a script that ends by becoming the command.

    A function that runs in the child before the command (`preexec_fn`) would do it for less, but may deadlock in a program
    with threads.

    Attributes:
        limits: what one command may take.
        processes_flag: of the shell's `ulimit`, for the number of processes; empty: not limited.
        data: whether one process may map only so much memory.
        score: how soon the kernel kills it when the machine has no memory left.
    """

    limits: CommandLimits
    processes_flag: str = ""
    data: bool = False
    score: int = msgspec.field(default_factory=command_score)

    def wrap(self, argv: Sequence[str | Path], joins: Sequence[str] = (), mark: str = "") -> list[str | Path]:
        """The command to start instead of `argv`.

        Args:
            argv: the command.
            joins: files that it writes 0 to first; if it cannot, it does not run.
            mark: of those who watch it.
        """
        numbers = range(1, len(joins) + 1)
        script = [f'echo 0 > "${number}" || exit {_REFUSED}' for number in numbers]
        if joins:
            script.append(f"shift {len(joins)}")
        if mark:
            script.append(f"export {ROOM_MARKER}={mark}")
        script += self._rlimits()
        # Whoever may not even do this goes on.
        script.append(f"{{ echo {self.score} > /proc/self/oom_score_adj; }} 2> /dev/null")
        # Shells set it for whoever comes after them.
        script.append('unset PWD; exec "$@"')
        return [_SHELL, "-c", "; ".join(script), "kugetsu", *joins, *argv]

    def _rlimits(self) -> list[str]:
        lines = []
        if self.data and self.limits.memory_bytes:
            # Memory that is mapped, and by one process; twice the limit leaves room for what is never touched.
            most = _within(resource.RLIMIT_DATA, 2 * self.limits.memory_bytes)
            lines.append(f"ulimit -d {most // _KIB}")
        if self.processes_flag and self.limits.processes:
            # The system counts all of the user's, so that this only keeps a fork bomb from growing without end.
            most = _within(resource.RLIMIT_NPROC, threads_now() + self.limits.processes)
            lines.append(f"ulimit -{self.processes_flag} {most}")
        return lines


def processes_flag() -> str:
    """How the shell's `ulimit` calls the number of processes; empty when it cannot limit it."""
    for flag in ("u", "p"):
        # As `p`, shells that have `u` mean the size of pipes.
        if _runs([_SHELL, "-c", f"ulimit -{flag} $(ulimit -{flag})"]):
            return flag
    return ""


def trial(argv: Sequence[str | Path]) -> str:
    """Run a short command and say why it failed; empty when it did not."""
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, start_new_session=True, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    return " ".join(done.stderr.decode(errors="replace").split()) or f"exit code {done.returncode}"


class Room:
    """Room for one command. Implements `CommandRoom`.

    Args:
        launcher: puts the command into its limits.
        group: where it runs, if groups can be used.
        watched: who watches it, if somebody has to.
    """

    def __init__(self, launcher: Launcher, group: Group | None, watched: Watched | None) -> None:
        self._launcher = launcher
        self._limits = launcher.limits
        self._group = group
        self._watched = watched

    def wrap(self, argv: Sequence[str | Path]) -> list[str | Path]:
        """The command that gets into its limits and then becomes `argv`."""
        joins = self._group.joins if self._group else ()
        return self._launcher.wrap(argv, joins, self._watched.mark if self._watched else "")

    def entered(self, pid: int) -> None:
        """Have it watched."""
        if self._watched:
            self._watched.entered(pid)

    async def excess(self) -> str:
        """Which limit the command ran into so far, in words for the model."""
        words = [self._watched.words] if self._watched else []
        if self._group:
            counts = self._group.counts()
            if counts.killed and counts.full:
                words.append(f"A process was killed because the command used {self._limits.memory_words}")
            elif counts.killed:
                words.append(OUT_OF_MEMORY)
            if counts.refused and counts.crowded:
                words.append(f"A process could not be started because the command had {self._limits.processes_words}")
            elif counts.refused:
                words.append(OUT_OF_PROCESSES)
        return "\n".join(word for word in words if word)


def _runs(argv: Sequence[str]) -> bool:
    return trial(argv) == ""


def _within(which: int, wanted: int) -> int:
    """A limit, but not above one that is there already."""
    with contextlib.suppress(OSError, ValueError):
        _soft, hard = resource.getrlimit(which)
        if hard != resource.RLIM_INFINITY:
            return min(wanted, hard)
    return wanted
