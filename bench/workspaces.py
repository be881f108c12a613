"""One measurement: how long a workspace takes to make, snapshot, prove and deliver. Prints one JSON object."""

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kugetsu.tasks import Task, new_task_id
from kugetsu.workspace import GitWorkspace, GitWorkspaces

RUNS = 7


def make_repository(path: Path, files: int) -> None:
    """A repository of so many small files in one commit."""
    for number in range(files):
        file = path / f"d{number % 50}" / f"f{number}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"file {number}\n" * 20)
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    for step in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "files"]):
        subprocess.run(["git", *step], cwd=path, check=True)


class Timed:
    """Wall time and CPU time, children included, of each of several goes."""

    def __init__(self) -> None:
        self._wall: list[float] = []
        self._cpu: list[float] = []

    @contextmanager
    def go(self) -> Iterator[None]:
        """Measure one."""
        wall, cpu = time.perf_counter(), cpu_seconds()
        yield
        self._wall.append(time.perf_counter() - wall)
        self._cpu.append(cpu_seconds() - cpu)

    def figures(self, name: str) -> dict[str, float]:
        """The medians, in milliseconds."""
        return {
            f"{name}_ms": round(statistics.median(self._wall) * 1000, 2),
            f"{name}_cpu_ms": round(statistics.median(self._cpu) * 1000, 2),
        }


def cpu_seconds() -> float:
    """User and system time of this process and of the children it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def change(path: Path, files: int, go: int) -> None:
    """Write other contents into so many of the first files."""
    for number in range(files):
        (path / f"d{number % 50}" / f"f{number}.txt").write_text(f"go {go} of file {number}\n" * 20)


async def measure_snapshots(workspace: GitWorkspace) -> dict[str, float]:
    """Take snapshots after turns that changed more or less."""
    found: dict[str, float] = {}
    turn = 0
    for name, files in (("first", 0), ("unchanged", 0), ("one_changed", 1), ("hundred_changed", 100)):
        timed = Timed()
        for go in range(1 if name == "first" else 3 * RUNS):
            await asyncio.to_thread(change, workspace.path, files, go)
            turn += 1
            with timed.go():
                await workspace.snapshot(turn)
        found |= timed.figures(f"snapshot_{name}")
    timed, first = Timed(), await workspace.snapshot(turn)
    for go in range(RUNS):
        await asyncio.to_thread(change, workspace.path, 100, RUNS + go)
        with timed.go():
            await workspace.restore(first)
    return found | timed.figures("restore_hundred")


async def measure(files: int) -> dict[str, float]:
    """Take the median of several workspaces of one repository."""
    create, finish = Timed(), Timed()
    with tempfile.TemporaryDirectory() as directory:
        repo, home = Path(directory, "repo"), Path(directory, "home")
        await asyncio.to_thread(repo.mkdir)
        await asyncio.to_thread(make_repository, repo, files)
        workspaces = GitWorkspaces(home, os.environ)
        for _ in range(RUNS):
            task = Task(id=new_task_id(), prompt="bench", repo=str(repo), model="none")
            with create.go():
                workspace = await workspaces.create(task)
            await asyncio.to_thread((workspace.path / "new.txt").write_text, "new\n")
            with finish.go():
                assert await workspace.commit_all("work")
                assert (await workspace.changes()).files_changed == 1
                await workspace.deliver()
                await workspace.close()
        task = Task(id=new_task_id(), prompt="bench", repo=str(repo), model="none")
        workspace, reopen = await workspaces.create(task), Timed()
        for _ in range(RUNS):
            with reopen.go():
                workspace = await workspaces.reopen(task, workspace.place)
        snapshots = await measure_snapshots(workspace)
    return {
        "files": files,
        **create.figures("create"),
        **finish.figures("commit_prove_deliver_remove"),
        **reopen.figures("reopen"),
        **snapshots,
    }


def main() -> None:
    """Measure once and print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, required=True, help="at least 100")
    print(json.dumps(asyncio.run(measure(parser.parse_args().files))))


if __name__ == "__main__":
    main()
