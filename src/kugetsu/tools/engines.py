r"""The two programs that search files: ripgrep where it is installed, and git, which always is.

Both are given the same files and the same rules, so that they give the same answers: every file is searched as text
(which of them are binary is asked only of those that match), lines end at line feeds, classes such as `\w` are
Unicode's. A pattern that ripgrep does not take (look-around, back-references, a brace that stands for itself) is given
to git, whose dialect is Perl's. So they part only where both take a pattern but mean something else by it: set
operations in classes (`[a&&b]`), `\<` and `\>`, and classes of one case (`\p{Lu}`) when case is ignored.
"""

import asyncio
import contextlib
import os
import re
import resource
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from kugetsu.errors import ToolError
from kugetsu.processes import contents_of, memory_file, start_command
from kugetsu.protocols import CommandRoom

_OUTPUT_BYTES: Final = 4 * 1024 * 1024
"""What one run of a program may print; then it is ended by the system. Matches come in order, so the first are there."""

_AT_ONCE_BYTES: Final = 64 * 1024
"""Output up to this size is parsed without a thread: some milliseconds."""

_RECORD: Final = re.compile(rb"([^\0]+)\0(\d+)[:\0](.*)(?:\n|\Z)")
"""A match as both print it: path, zero byte, line number, colon or zero byte, line."""

_PCRE_UNICODE: Final = "(*UCP)"
r"""Before a pattern of PCRE: `\w`, `\d`, `\s` and `\b` are Unicode's, as they are ripgrep's."""

_RIPGREP: Final = (
    *("rg", "--no-config", "--no-messages", "--color=never", "--no-heading", "--with-filename", "--line-number"),
    *("--null", "--text", "--encoding=none", "--threads=1"),
)

_GIT_GREP: Final = (
    *("git", "--literal-pathspecs", "--no-pager", "grep", "--no-index", "--no-color", "--no-column", "--no-full-name"),
    *("--no-recurse-submodules", "-H", "-n", "--null", "--text", "--perl-regexp"),
)


class Query(msgspec.Struct, frozen=True):
    """What is searched.

    Attributes:
        pattern: a regular expression, or the text itself when `literal`.
        literal: whether the pattern is plain text.
        ignore_case: whether upper and lower case are alike.
        most: matching lines of one file that are of interest.
    """

    pattern: str
    literal: bool
    ignore_case: bool
    most: int


class Hit(msgspec.Struct, frozen=True, gc=False):
    """A line that matches.

    Attributes:
        path: the file, as it was named.
        line: number of the line, from 1.
        text: the line without its line feed.
    """

    path: str
    line: int
    text: bytes


class Hits(msgspec.Struct, frozen=True):
    """What a run found.

    Attributes:
        found: in the order of the files, and of the lines in each.
        complete: False when there was more than can be held.
    """

    found: list[Hit]
    complete: bool


class _RefusedError(Exception):
    """The program does not take the pattern, or fails otherwise."""


class Engine:
    """Searches batches of files for one query.

    Args:
        query: what is searched.
        base: where paths start.
        environment: the whole environment of the programs.
        room: holds them to limits.

    Attributes:
        uses_ripgrep: whether ripgrep is there and has not refused the pattern.
    """

    def __init__(
        self, query: Query, base: Path, environment: Mapping[str, str], room: CommandRoom | None = None
    ) -> None:
        self._query = query
        self._base = base
        self._room = room
        self._environment = environment
        self.uses_ripgrep = shutil.which("rg", path=environment.get("PATH", "")) is not None

    async def search(self, paths: Sequence[str]) -> Hits:
        """Search regular files. When cancelled it ends the program.

        Args:
            paths: relative to the base; at most some hundred, since they are arguments of a command.

        Raises:
            ToolError: the pattern is no regular expression, or there is no program to search with.
            OSError: the program cannot be started for want of memory or processes.
        """
        if self.uses_ripgrep:
            try:
                return await self._run(self._ripgrep_command(), paths, self._environment)
            except _RefusedError:
                await self._check_limits()
                self.uses_ripgrep = False
        try:
            environment = {**self._environment, "LC_ALL": "C.UTF-8"}
            return await self._run(self._git_command(), paths, environment)
        except _RefusedError as error:
            await self._check_limits()
            raise ToolError(
                f"Cannot search for `{self._query.pattern}`: {error}",
                fix="write it as a regular expression, or set literal to true",
            ) from None
        except FileNotFoundError:
            raise ToolError("Cannot search: neither ripgrep nor git is installed", fix="search with bash") from None

    async def _check_limits(self) -> None:
        """Look whether a program failed because it ran into a limit.

        Raises:
            ToolError: it did.
        """
        if self._room and (excess := await self._room.excess()):
            raise ToolError(f"The search was ended. {excess}")

    def _ripgrep_command(self) -> list[str]:
        query = self._query
        flags = ["--ignore-case" if query.ignore_case else "--case-sensitive", f"--max-count={query.most}"]
        return [*_RIPGREP, *flags, *(["--fixed-strings"] if query.literal else []), "-e", query.pattern, "--"]

    def _git_command(self) -> list[str]:
        query = self._query
        pattern = _PCRE_UNICODE + (re.escape(query.pattern) if query.literal else query.pattern)
        return [*_GIT_GREP, *(["--ignore-case"] if query.ignore_case else []), "-e", pattern, "--"]

    async def _run(self, command: Sequence[str], paths: Sequence[str], environment: Mapping[str, str]) -> Hits:
        with memory_file() as out, memory_file() as err:
            async with start_command(
                [*command, *paths], cwd=self._base, env=environment, stdout=out, stderr=err, room=self._room
            ) as run:
                _limit_output(run.pid)
                code = await run.wait() or 0
            message = contents_of(err)
            if code not in {0, 1, -signal.SIGXFSZ} and (message or code < 0):
                raise _RefusedError(_reason(message) or f"the program was ended by signal {-code}")
            output = contents_of(out)
            found = _parse(output) if len(output) <= _AT_ONCE_BYTES else await asyncio.to_thread(_parse, output)
            return Hits(found, complete=len(output) < _OUTPUT_BYTES)


def _limit_output(pid: int) -> None:
    # The program may have ended already.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (_OUTPUT_BYTES, _OUTPUT_BYTES))


def _parse(output: bytes) -> list[Hit]:
    # One by one: a single long call of C would hold up all threads.
    records = (record.group(1, 2, 3) for record in _RECORD.finditer(output))
    return [Hit(os.fsdecode(path), int(line), text) for path, line, text in records]


def _reason(message: bytes) -> str:
    """The program's own words, on one line; may be empty."""
    text = message.decode(errors="replace").replace(_PCRE_UNICODE, "")
    return " ".join(text.removeprefix("fatal: ").removeprefix("-e option, ").split())
