"""A job that is crashed and taken up again, with everything real: the program, git, bash, SQLite, HTTP."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from kugetsu.messages import Usage
from kugetsu.processes.census import marked
from kugetsu.sessions import Compacted, Entry, Finished, Pruned, Replied, Wasted
from kugetsu.shadows import TASK_MARKER
from kugetsu.storage import SqlStore
from kugetsu.tasks import TaskReport
from support.command_line import CommandLine
from support.patient_model import PatientModel, Plan

CUT: Final = "Interrupted"
CHILD = Path(__file__).with_name("drill_child.py")


def bash(command: str) -> dict[str, Any]:
    return {"name": "bash", "arguments": {"command": command}}


def once(line: str, file: str = "effects.log") -> str:
    """A command that has its effect once, however often it runs; it says when it ran a second time."""
    return f"grep -qx '{line}' {file} 2>/dev/null || echo '{line}' >> {file}"


def look(part: int) -> dict[str, Any]:
    """A call that gives a part of the long file, another one for each number."""
    return {"name": "read", "arguments": {"path": "long.txt", "offset": LINES * part + 1, "limit": LINES}}


LINES: Final = 140
LONG_FILE: Final = "".join(
    f"{n}: the {n * 7_919 % 1_009}th line is as long as lines of code are, about so\n" for n in range(9 * LINES)
)

PLAN: Plan = [
    [{"name": "read", "arguments": {"path": "a.txt"}}, {"name": "ls", "arguments": {}}],
    [
        {"name": "write", "arguments": {"path": "made/b.txt", "content": "made\n"}},
        bash(f"{once('one')}; git add -A; git commit -qm one || true"),
    ],
    *([look(part)] for part in range(4)),
    [bash(once("two")), bash(once("three", "other.log"))],
    *([look(part)] for part in range(4, 9)),
    [{"name": "edit", "arguments": {"path": "a.txt", "edits": [{"oldText": "first", "newText": "last"}]}}],
    [bash("echo ignored > x.tmp; test -f made/b.txt && cat a.txt")],
]
"""So much to read that the conversation is pruned, compacted, pruned and compacted."""

THOUGHTS: Final = 2_000
WINDOW: Final = 16_000
"""Tokens; a sixth of it stands before every conversation."""

CONFIG: Final = """\
model = "drill/m"
[providers.drill]
base_url = "{base_url}"
[providers.drill.models.m]
context_window = {window}
price = {{ input = 1, output = 5 }}
[context]
prune_at = 0.8
prune_to = 0.3
keep_turns = 5
[compaction]
at = 0.5
[queue]
lease_seconds = 3
grace_seconds = {grace:g}
"""


class Course(msgspec.Struct, frozen=True):
    """What became of the job.

    Attributes:
        tree: of its branch.
        results: what the calls gave: name and result, without what was interrupted.
        changes: see `changes_of`.
        sent: what stood behind the system prompt when a reply was asked for, by place.
    """

    tree: str
    results: list[tuple[str, str]]
    changes: list[tuple[int, int]]
    sent: dict[int, set[str]]


def changes_of(entries: list[Entry]) -> list[tuple[int, int]]:
    """The prunings and compactions of a log: the turn, and through which turn (0: a pruning)."""
    return [
        (entry.turn, entry.through if isinstance(entry, Compacted) else 0)
        for entry in entries
        if isinstance(entry, Pruned | Compacted)
    ]


def usage_of(entries: list[Entry]) -> Usage:
    """What all entries of a log say was used up."""
    used = Usage()
    for entry in entries:
        match entry:
            case Replied():
                used += entry.message.usage
            case Compacted() | Wasted():
                used += entry.usage
    return used.rounded


class Drill:
    """One repository, one state directory, one model."""

    def __init__(self, directory: Path, model: PatientModel, *, window: int = WINDOW, grace: float = 10.0) -> None:
        self.user = CommandLine(directory)
        self.model = model
        self.user.make_repo({"a.txt": "first\n", "long.txt": LONG_FILE, ".gitignore": "*.tmp\n"})
        config = directory / ".config" / "kugetsu" / "kugetsu.toml"
        config.parent.mkdir(parents=True)
        config.write_text(CONFIG.format(base_url=model.base_url, window=window, grace=grace))

    def start(self, *arguments: str, point: str = "", visit: int = 1) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, CHILD, point, str(visit), *arguments],
            cwd=self.user.directory,
            env=self.user.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str, point: str = "", visit: int = 1, seconds: float = 50.0) -> tuple[int, str]:
        process = self.start(*arguments, point=point, visit=visit)
        stdout, stderr = process.communicate(timeout=seconds)
        return process.returncode, stdout.decode() + stderr.decode()

    def start_job(self, *, point: str = "", visit: int = 1) -> "subprocess.Popen[bytes]":
        arguments = ("run", "do it", "--repo", str(self.user.repo), "--check", "test -f made/b.txt", "--json")
        return self.start(*arguments, point=point, visit=visit)

    def run_job(self, *, point: str = "", visit: int = 1) -> bool:
        """Start the job in the foreground; whether it was killed at the point."""
        process = self.start_job(point=point, visit=visit)
        stdout, stderr = process.communicate(timeout=50)
        assert process.returncode in {0, -signal.SIGKILL}, stdout.decode() + stderr.decode()
        return process.returncode != 0

    def resume(self, *, point: str = "", visit: int = 1) -> bool:
        """Take up the job again; whether it was killed at the point."""
        code, said = self.run("resume", self.task.id, "--json", point=point, visit=visit)
        assert code in {0, -signal.SIGKILL}, said
        return code != 0

    @property
    def tasks(self) -> list[TaskReport]:
        async def read() -> list[TaskReport]:
            store = await SqlStore.open(self.user.home)
            try:
                return await store.reports()
            finally:
                await store.close()

        return asyncio.run(read())

    @property
    def task(self) -> TaskReport:
        [task] = self.tasks
        return task

    def entries(self, task: TaskReport) -> list[Entry]:
        async def read() -> list[Entry]:
            store = await SqlStore.open(self.user.home)
            try:
                return [line.entry for line in await store.session(task.id)]
            finally:
                await store.close()

        return asyncio.run(read())

    def tree(self, task: TaskReport) -> str:
        return self.user.git("ls-tree", "-r", task.branch)

    def deliveries(self, task: TaskReport) -> int:
        log = self.user.git("reflog", "show", "--format=%gs", task.branch)
        return log.splitlines().count("kugetsu: delivered")

    def course(self, task: TaskReport) -> Course:
        entries = self.entries(task)
        results = [entry.result for entry in entries if isinstance(entry, Finished)]
        whole = [(result.name, result.text) for result in results if CUT not in result.text]
        tree = self.tree(task) if task.branch else ""
        return Course(tree, whole, changes_of(entries), dict(self.model.sent))

    def cut_calls(self, task: TaskReport) -> int:
        """How many calls were in flight at a crash that must not run again by themselves."""
        return sum(CUT in entry.result.text for entry in self.entries(task) if isinstance(entry, Finished))

    def left_overs(self) -> list[str]:
        """What should not be there when every task is over."""
        home = self.user.home
        found = [str(path) for name in ("worktrees", "scratch") for path in (home / name).glob("*")]
        found += [f"process {pid}" for task in self.tasks for pid in marked(TASK_MARKER, task.id)]
        return found


def kill(process: "subprocess.Popen[bytes]") -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
