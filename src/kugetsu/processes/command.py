"""One command: a process in a group of its own, waited for without threads and ended with its whole tree.

What it prints goes into descriptors of the caller's choice. A child left in the background never keeps a call open,
because it is the process that is waited for, not the end of its output.
"""

import asyncio
import contextlib
import errno
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from kugetsu.concurrency import finish
from kugetsu.processes.census import Census, marked, signal_all, take_census
from kugetsu.processes.protection import unprotect
from kugetsu.protocols import CommandRoom

CALL_MARKER: Final = "KUGETSU_CALL"
"""Environment variable that tells the processes of one command from all others."""

GRACE_SECONDS: Final = 1.0
"""Time between the polite signal and the final one."""

_SHORTEST_WAIT: Final = 0.001
"""Seconds that a killed process is given to disappear, at first."""

_MOST_ROUNDS: Final = 20
"""How often a tree is searched for processes that still live, about 1.3 seconds in all."""


class Command:
    """A running command. Made by `start_command`, which also ends it."""

    def __init__(self, process: subprocess.Popen[bytes], marker: str) -> None:
        self._process = process
        self._marker = marker
        self._pidfd = os.pidfd_open(process.pid)
        self._exited = False

    @property
    def pid(self) -> int:
        """Process id, also of the process group."""
        return self._process.pid

    async def wait(self, seconds: float | None = None) -> int | None:
        """Wait for the command's own process, not for children it left behind.

        Returns:
            The exit code (negative: ended by that signal), or None when `seconds` passed first. May be called again.
        """
        if not self._exited and not self._has_ended():
            try:
                async with asyncio.timeout(seconds):
                    await self._readable()
            except TimeoutError:
                return None
        self._exited = True
        return self._process.wait()

    async def end(self) -> None:
        """End the whole tree: its group, its descendants, and everything that carries its marker. Never raises."""
        self._signal_group(signal.SIGTERM)
        tree = (await take_census()).descendants(self.pid)
        signal_all(tree, signal.SIGTERM)
        await self._wait_a_moment()
        tree |= (await take_census()).descendants(self.pid)
        # The leader is not reaped yet, so its id, and with it the group's, still belongs to this command.
        self._signal_group(signal.SIGKILL)
        await _kill(lambda census: census.living(tree) | census.marked(CALL_MARKER, self._marker))
        await self._wait_a_moment()

    def close(self) -> None:
        """Reap the process and release its descriptor. One that not even SIGKILL ends (stuck in a device) is left."""
        self._process.poll()
        os.close(self._pidfd)

    async def _wait_a_moment(self) -> None:
        if not self._exited:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GRACE_SECONDS):
                    await self._readable()

    def _has_ended(self) -> bool:
        """Whether the process has ended; it stays to be reaped."""
        return os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._pidfd, lambda: None if ended.done() else ended.set_result(None))
        try:
            await ended
        finally:
            loop.remove_reader(self._pidfd)

    def _signal_group(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)


def kill_marked(name: str, value: str) -> None:
    """Kill every process whose environment says `name=value`, blocking until none is left. Never raises."""
    for _ in range(_MOST_ROUNDS):
        found = marked(name, value)
        if not found:
            return
        signal_all(found, signal.SIGKILL)
        time.sleep(_SHORTEST_WAIT)


async def end_marked(name: str, value: str, *, since: float | None = None) -> None:
    """Kill every process whose environment says `name=value`, and wait until they are gone. Never raises.

    Args:
        name: of the variable.
        value: of the variable.
        since: none of them was started after this moment, but by one of them (see `moment`); spares many a look when
            many tasks are taken up at once. None when any may have been started just now.
    """
    await _kill(lambda census: census.marked(name, value), since)


async def _kill(find: Callable[[Census], set[int]], since: float | None = None) -> None:
    """Kill what is found until nothing is; children born in between are found in the next round."""
    for round_ in range(_MOST_ROUNDS):
        found = find(await take_census(None if round_ else since))
        if not found:
            return
        signal_all(found, signal.SIGKILL)
        await asyncio.sleep(min(_SHORTEST_WAIT * 2**round_, 0.1))


def _require(program: Path, cwd: Path, path: str | None) -> None:
    """Look whether a program is there, since a shell that is to become it would only say so in its output.

    Raises:
        FileNotFoundError: it is not.
    """
    place = str(cwd / program) if len(program.parts) > 1 else str(program)
    if shutil.which(place, path=path) is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(program))


@asynccontextmanager
async def start_command(
    argv: Sequence[str | Path],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdout: int,
    stderr: int,
    stdin: int = subprocess.DEVNULL,
    room: CommandRoom | None = None,
) -> AsyncIterator[Command]:
    """Start a command; whatever still runs of it when the block is left by an error or a cancel is ended.

    When the block is left normally, children that the command left in the background go on.

    Args:
        argv: the command.
        cwd: where it runs.
        env: its whole environment, but for its marker.
        stdout: descriptor that it prints to.
        stderr: descriptor that it complains to.
        stdin: descriptor that it reads.
        room: holds an agent's command to limits. None for one of the program's own.

    Raises:
        OSError: it could not be started.
    """
    marker = secrets.token_hex(8)
    confined = list(argv) if room is None else room.wrap(argv)
    wrapped = confined != list(argv)
    if wrapped:
        _require(Path(argv[0]), cwd, env.get("PATH"))
    process = subprocess.Popen(  # noqa: ASYNC220 - vfork and exec take a millisecond; waiting is done without blocking
        confined,
        cwd=cwd,
        env={**env, CALL_MARKER: marker},
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
    )
    try:
        command = Command(process, marker)
    except OSError:  # no descriptor left
        process.kill()
        process.wait()
        raise
    if not wrapped:
        unprotect(process.pid)
    if room is not None:
        room.entered(process.pid)
    try:
        yield command
        if await command.wait(0) is None:
            await command.end()
    except BaseException:
        await finish(command.end())
        raise
    finally:
        command.close()


class Captured(msgspec.Struct, frozen=True):
    """A command that ended, and what it printed."""

    code: int
    stdout: bytes
    stderr: bytes


async def capture(
    argv: Sequence[str | Path],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdin: bytes = b"",
    seconds: float | None = None,
) -> Captured:
    """Run a command to its end and keep what it prints in memory.

    Raises:
        OSError: it could not be started.
        TimeoutError: it ran longer than `seconds`; its tree has been ended.
    """
    with memory_file() as out, memory_file() as err, memory_file(stdin) as given:
        async with start_command(argv, cwd=cwd, env=env, stdout=out, stderr=err, stdin=given) as command:
            code = await command.wait(seconds)
            if code is None:
                raise TimeoutError(f"{argv[0]} took longer than {seconds:g} seconds")
        return Captured(code, contents_of(out), contents_of(err))


@contextmanager
def memory_file(contents: bytes = b"") -> Iterator[int]:
    """Make a file in memory, positioned at its start; gives its descriptor."""
    descriptor = os.memfd_create("kugetsu")
    try:
        if contents:
            os.pwrite(descriptor, contents, 0)
        yield descriptor
    finally:
        os.close(descriptor)


def contents_of(descriptor: int) -> bytes:
    """Everything that a file holds, wherever it is positioned."""
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, size, 0)
