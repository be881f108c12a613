"""What a contender gets for one measurement: a repository, worktrees, the address of the model, and processes."""

import asyncio
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, Protocol

from bench.peers.groups import Group

ROOT: Final = Path(__file__).parents[2]
"""The checkout that this file lies in."""
PROMPT: Final = "Do the five steps, one after the other."
TURNS: Final = 5
"""Commands of one job."""
CALLS: Final = TURNS + 1
"""Model calls of one job."""
_FILES: Final = 20


@dataclass
class Stage:
    """Everything for one measurement.

    Attributes:
        number: how many agents there will be.
        home: a fresh directory for state, settings and logs.
        repo: a git repository of twenty files.
        base_url: of the model, `http://127.0.0.1:PORT/v1`.
        group: where processes go.
        worktrees: of the repository, one for each agent; empty for those who make their own.
    """

    number: int
    home: Path
    repo: Path
    base_url: str
    group: Group
    worktrees: list[Path] = field(default_factory=list)

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """A clean environment: nothing of the user's settings gets in."""
        home = self.home / "home"
        home.mkdir(exist_ok=True)
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
        return {**kept, "HOME": str(home), "TMPDIR": str(self.home), **(more or {}), **self.group.environment()}

    async def start(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        more: Mapping[str, str] | None = None,
        stdin: bool = False,
        stdout: IO[bytes] | None = None,
    ) -> asyncio.subprocess.Process:
        """Start a program in the group.

        Args:
            command: argument vector.
            cwd: where.
            more: variables beside the clean environment.
            stdin: whether we talk to it; otherwise it reads the end at once.
            stdout: a file for its output; None for a pipe. What it complains of goes to `log`.
        """
        environment = self.environment({"PWD": str(cwd), **(more or {})})
        with self.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *self.group.command(list(command)),
                cwd=cwd,
                env=environment,
                stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if stdout is None else stdout,
                stderr=log,
                limit=64 * 1024 * 1024,
                start_new_session=True,
            )
        self.group.joined(process.pid)
        return process

    @property
    def log(self) -> Path:
        """What all processes say on stderr."""
        return self.home / "stderr.log"

    def complaints(self) -> str:
        """The end of the log, in one line."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return " | ".join(line.strip() for line in text.splitlines()[-3:] if line.strip())[-300:]


class Contender(Protocol):
    """Somebody who does N jobs at once."""

    @property
    def key(self) -> str:
        """Short name, for the command line and JSON."""
        ...

    @property
    def title(self) -> str:
        """For people."""
        ...

    @property
    def peer(self) -> str:
        """What has to be installed (see `install`); empty for nothing."""
        ...

    @property
    def numbers(self) -> tuple[int, ...]:
        """How many agents are measured."""
        ...

    @property
    def quick(self) -> tuple[int, ...]:
        """The same, when there is little time."""
        ...

    @property
    def steps(self) -> tuple[int, ...]:
        """Numbers that are tried with bounded memory, rising."""
        ...

    @property
    def shared(self) -> bool:
        """All agents live in one process, so that there is a start without any agent, and a price of one more."""
        ...

    @property
    def own_worktrees(self) -> bool:
        """Makes its worktrees itself."""
        ...

    async def prepare(self, stage: Stage) -> None:
        """Do what is done before the clock runs: settings, and jobs put into a queue."""
        ...

    async def run(self, stage: Stage) -> None:
        """Do the jobs, and leave. This is what the clock and the CPU are read of.

        Raises:
            OSError, ValueError, aiohttp.ClientError: it went wrong altogether.
        """
        ...

    async def done(self, stage: Stage) -> int:
        """Count the jobs that it says are done, after `run`, however that ended."""
        ...


def make_repository(path: Path) -> Path:
    """A real git repository of twenty files."""
    (path / "src").mkdir(parents=True)
    (path / "README.md").write_text("# A small project\n")
    for number in range(_FILES - 1):
        (path / "src" / f"part_{number:02}.py").write_text(f'"""Part {number}."""\n' + "VALUE = 1\n" * 40)
    identity = ("-c", "user.name=Bench", "-c", "user.email=bench@example.org")
    for command in (("init", "-q", "-b", "main"), ("add", "-A"), (*identity, "commit", "-qm", "first")):
        git(path, *command)
    return path


def make_worktrees(repo: Path, folder: Path, number: int) -> list[Path]:
    """So many worktrees of the repository, each on a branch of its own."""
    paths = [folder / f"tree-{place}" for place in range(number)]
    for place, path in enumerate(paths):
        git(repo, "worktree", "add", "-q", "-b", f"job-{place}", str(path))
    return paths


def git(repo: Path, *arguments: str) -> None:
    """Run git, without the user's settings.

    Raises:
        subprocess.CalledProcessError: it did not succeed.
    """
    quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "PATH": os.environ.get("PATH", "")}
    subprocess.run(["git", *arguments], cwd=repo, env=quiet, check=True)
