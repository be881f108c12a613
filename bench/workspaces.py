"""One measurement: how long a workspace takes to make, prove and deliver. Prints one JSON object."""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from kugetsu.tasks import Task, new_task_id
from kugetsu.workspace import GitWorkspaces

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


async def measure(files: int) -> dict[str, float]:
    """Take the median of several workspaces of one repository."""
    create, finish = [], []
    with tempfile.TemporaryDirectory() as directory:
        repo, home = Path(directory, "repo"), Path(directory, "home")
        await asyncio.to_thread(repo.mkdir)
        await asyncio.to_thread(make_repository, repo, files)
        workspaces = GitWorkspaces(home, os.environ)
        for _ in range(RUNS):
            started = time.perf_counter()
            workspace = await workspaces.create(Task(id=new_task_id(), prompt="bench", repo=str(repo), model="none"))
            create.append(time.perf_counter() - started)
            await asyncio.to_thread((workspace.path / "new.txt").write_text, "new\n")
            started = time.perf_counter()
            assert await workspace.commit_all("work")
            assert (await workspace.changes()).files_changed == 1
            await workspace.deliver()
            await workspace.close()
            finish.append(time.perf_counter() - started)
    return {
        "files": files,
        "create_ms": statistics.median(create) * 1000,
        "commit_prove_deliver_remove_ms": statistics.median(finish) * 1000,
    }


def main() -> None:
    """Measure once and print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, required=True)
    print(json.dumps(asyncio.run(measure(parser.parse_args().files))))


if __name__ == "__main__":
    main()
