"""The tool that runs commands."""

import asyncio
import contextlib
import os
import signal
import subprocess
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kugetsu.config import ToolSettings
from kugetsu.errors import ToolError
from kugetsu.processes import MOST_OUTPUT_BYTES, Command, Output, open_output, start_command
from kugetsu.protocols import CommandRoom, ToolContext, ToolKind, ToolOutput
from kugetsu.tools.outputs import news_of, tail_of
from kugetsu.tools.truncation import MAX_BYTES, MAX_LINES, show_size

_COMMAND_BYTES: Final = 120_000
"""Longest command; Linux takes 131,072 bytes in one argument."""

_LOOK_SECONDS: Final = 0.25
"""Time between two reports of progress."""

_SETTLING_SECONDS: Final = 0.2
"""How long a process in the background may take to redirect its output away from the call's."""

_SETTLING_LOOKS: Final = 8

_MOST_KEPT_KIB: Final = MOST_OUTPUT_BYTES // 1024 + 10 * 1024
"""Largest file of output, in KiB, what processes in the background add to it included; more is thrown away."""

_READ_ON: Final = '{ ulimit -c 0; ulimit -f "$0"; cat; exec cat > /dev/null; } <&0 &'
"""Script that reads a pipe to its end, so that who writes to it neither waits nor is killed by a closed one."""

_TELLING_SIGNALS: Final = frozenset(
    {
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGKILL,
        signal.SIGSEGV,
        signal.SIGTERM,
        signal.SIGXCPU,
        signal.SIGXFSZ,
    }
)
"""Signals by which shells report a child's end as 128 and the signal; programs use other codes above 128 themselves."""


class BashArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to run."""

    command: Annotated[str, Meta(description="Command, or a script of several lines.")]
    timeout: Annotated[Annotated[float, Meta(gt=0)] | None, Meta(description="Time limit in seconds.")] = None


class BashTool:
    """Runs commands."""

    name: Final = "bash"
    arguments = BashArguments
    kind: Final[ToolKind] = "run"

    def __init__(self, settings: ToolSettings) -> None:
        self._seconds = settings.bash_seconds
        self._most_seconds = settings.bash_seconds_max
        self.description: Final = (
            "Run a command with bash in the workspace root. Shows stdout and stderr together: the last "
            f"{MAX_LINES} lines or {MAX_BYTES // 1024}KB; when that is not all, the rest is in a file that is named. "
            f"Time limit {self._seconds:g} seconds unless `timeout` says otherwise (at most {self._most_seconds:g}). "
            "Every call is a new shell without input: `cd` and variables do not last, and nothing can be asked. "
            "Several bash calls of one reply run at the same time: join commands that depend on each other with `&&`. "
            "A process started in the background with `&` keeps running after the call; redirect its output to a file."
        )

    async def run(self, arguments: BashArguments, context: ToolContext) -> ToolOutput:
        """Run the command to its end, its time limit, or its output limit.

        Raises:
            ToolError: it could not be started.
        """
        _check(arguments.command)
        seconds = min(arguments.timeout or self._seconds, self._most_seconds)
        try:
            with open_output(context.scratch) as output:
                async with context.room() as room:
                    verdict = await self._execute(arguments.command, seconds, output, context, room)
                    excess = await room.excess()
                held = await _held(output)
                text, *notices = tail_of(output)
                if held:
                    notices.append(await _read_on(output, context))
        except OSError as error:
            raise ToolError(f"The command could not be run: {error}") from error
        parts = [text.rstrip("\n") or "(no output)", *notices, verdict, excess]
        return ToolOutput.of("\n\n".join(part for part in parts if part), is_error=bool(verdict or excess))

    async def _execute(
        self, command: str, seconds: float, output: Output, context: ToolContext, room: CommandRoom
    ) -> str:
        """Run it; returns what went wrong, in words, or nothing."""
        ends = {"stdout": output.write_end, "stderr": output.write_end}
        argv = ["bash", "-c", command]
        async with start_command(argv, cwd=context.root, env=context.environment, room=room, **ends) as running:
            output.handed_over()
            try:
                async with asyncio.timeout(seconds):
                    code = await _follow(running, output, context)
            except TimeoutError:
                await running.end()
                return self._timed_out(seconds)
            if code is None:
                await running.end()
                return f"Command was ended because it printed more than {show_size(MOST_OUTPUT_BYTES)}"
        return _verdict(code)

    def _timed_out(self, seconds: float) -> str:
        most = self._most_seconds
        limit = "the most that is allowed" if seconds >= most else f"`timeout` may be up to {most:g}"
        return f"Command timed out after {seconds:g} seconds ({limit}) and was ended with everything it started"


def _check(command: str) -> None:
    if "\0" in command:
        raise ToolError("A command cannot hold a NUL character", fix=r"print one with printf '\0'")
    try:
        size = len(command.encode())
    except UnicodeEncodeError:
        raise ToolError("The command holds half a character (a lone surrogate)") from None
    if size > _COMMAND_BYTES:
        raise ToolError(
            f"The command has {size} bytes, above the {_COMMAND_BYTES} that can be run",
            fix="write it to a file and run that",
        )


async def _follow(running: Command, output: Output, context: ToolContext) -> int | None:
    """Wait for the command, telling what it prints; None when it prints too much."""
    while (code := await running.wait(_LOOK_SECONDS)) is None:
        if output.overfull:
            return None
        if news := news_of(output):
            context.progress(news)
    return code


async def _held(output: Output) -> bool:
    """Take what was printed last; whether a process in the background still holds the output."""
    for _ in range(_SETTLING_LOOKS):
        if not output.finish():
            return False
        # It may just not have come to its own `> file` yet.
        await asyncio.sleep(_SETTLING_SECONDS / _SETTLING_LOOKS)
    return output.finish()


async def _read_on(output: Output, context: ToolContext) -> str:
    """Leave the pipe to a process of its own, which ends with the last one that writes to it; returns a notice.

    It is ours and needs no room: to wait for some while the call holds its own could be to wait forever.
    """
    log, place = output.keep()
    os.set_blocking(output.pipe, True)
    argv = ["bash", "-c", _READ_ON, str(_MOST_KEPT_KIB)]
    async with start_command(
        argv, cwd=context.root, env=context.environment, stdin=output.pipe, stdout=log, stderr=subprocess.DEVNULL
    ) as running:
        await running.wait()
    return f"[A process in the background goes on; its output goes to {place}]"


def _verdict(code: int) -> str:
    """Words for an exit code; a negative one is the signal that ended bash itself."""
    if code == 0:
        return ""
    number = -code if code < 0 else code - 128
    with contextlib.suppress(ValueError):
        name = signal.Signals(number)
        if code < 0:
            return f"The shell was ended by {name.name} ({number})\n\nCommand exited with code {128 + number}"
        if name in _TELLING_SIGNALS:
            return f"A process was ended by {name.name} ({number})\n\nCommand exited with code {code}"
    return f"Command exited with code {code}"
