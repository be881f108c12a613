"""A job that is crashed and taken up again, with everything real: the program, git, bash, SQLite, HTTP."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from kugetsu.messages import ToolResult
from kugetsu.processes.census import marked
from kugetsu.sessions import Entry, Session
from kugetsu.shadows import TASK_MARKER
from kugetsu.storage import SqlStore
from kugetsu.tasks import TaskReport
from support.command_line import CommandLine
from support.patient_model import PatientModel, Plan

CHILD = Path(__file__).with_name("drill_child.py")


def bash(command: str) -> dict[str, Any]:
    return {"name": "bash", "arguments": {"command": command}}


def once(line: str, file: str = "effects.log") -> str:
    """A command that has its effect once, however often it runs; it says when it ran a second time."""
    return f"grep -qx '{line}' {file} 2>/dev/null || echo '{line}' >> {file}"


PLAN: Plan = [
    [{"name": "read", "arguments": {"path": "a.txt"}}, {"name": "ls", "arguments": {}}],
    [
        {"name": "write", "arguments": {"path": "made/b.txt", "content": "made\n"}},
        bash(f"{once('one')}; git add -A; git commit -qm one || true"),
    ],
    [bash(once("two")), bash(once("three", "other.log"))],
    [{"name": "edit", "arguments": {"path": "a.txt", "edits": [{"oldText": "first", "newText": "last"}]}}],
    [bash("echo ignored > x.tmp; test -f made/b.txt && cat a.txt")],
]


class Drill:
    """One repository, one state directory, one model."""

    def __init__(self, directory: Path, model: PatientModel) -> None:
        self.user = CommandLine(directory)
        self.model = model
        self.user.make_repo({"a.txt": "first\n", ".gitignore": "*.tmp\n"})
        config = directory / ".config" / "kugetsu" / "kugetsu.toml"
        config.parent.mkdir(parents=True)
        config.write_text(
            f'model = "drill/m"\n[providers.drill]\nbase_url = "{model.base_url}"\n[queue]\nlease_seconds = 3\n'
        )

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

    def run_job(self, *, point: str = "", visit: int = 1) -> bool:
        """Start the job in the foreground; whether it was killed at the point."""
        check = "test -f made/b.txt"
        code, said = self.run(
            "run", "do it", "--repo", str(self.user.repo), "--check", check, "--json", point=point, visit=visit
        )
        assert code in {0, -signal.SIGKILL}, said
        return code != 0

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

    def conversation(self, task: TaskReport) -> list[tuple[str, str]]:
        """What the calls that count gave: name and result, in order, without what was interrupted."""
        messages = Session(self.entries(task)).messages
        results = [(m.name, m.text) for m in messages if isinstance(m, ToolResult)]
        return [result for result in results if "Interrupted" not in result[1]]

    def left_overs(self) -> list[str]:
        """What should not be there when every task is over."""
        home = self.user.home
        found = [str(path) for name in ("worktrees", "scratch") for path in (home / name).glob("*")]
        found += [f"process {pid}" for task in self.tasks for pid in marked(TASK_MARKER, task.id)]
        return found


def kill(process: "subprocess.Popen[bytes]") -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
