"""The real program on a real repository, as a user starts it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from kugetsu.config.daemon import running_daemon


class Done(msgspec.Struct):
    code: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        assert self.stdout, f"nothing was printed; exit code {self.code}: {self.stderr}"
        return json.loads(self.stdout)


@dataclass(frozen=True)
class Server:
    process: "subprocess.Popen[bytes]"
    url: str


class CommandLine:
    """A user with a home and a repository."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.home = directory / "state"
        self.repo = directory / "repo"
        self.environ = {
            "HOME": str(directory),
            "KUGETSU_HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            "KUGETSU_HTTP_PORT": "0",  # others may test at the same time
        }

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main"]
        done = subprocess.run(
            ["git", *identity, *arguments], cwd=cwd or self.repo, check=True, capture_output=True, env=self.environ
        )
        return done.stdout.decode()

    def make_repo(self, files: dict[str, str]) -> Path:
        self.repo.mkdir(exist_ok=True)
        for name, text in files.items():
            path = self.repo / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("init", "-q")
        self.git("add", "-A")
        self.git("commit", "-qm", "first")
        return self.repo

    def script(self, *turns: dict[str, Any], name: str = "script.json") -> str:
        path = self.directory / name
        path.write_text(json.dumps({"turns": turns}))
        return f"scripted:{path}"

    def run(self, *arguments: str, cwd: Path | None = None, stdin: str = "", seconds: float = 50.0) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "kugetsu", *arguments],
            cwd=cwd or self.directory,
            env=self.environ,
            input=stdin.encode(),
            capture_output=True,
            timeout=seconds,
            check=False,
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", "kugetsu", *arguments],
            cwd=self.directory,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    @contextmanager
    def serving(self, *arguments: str) -> Iterator["Server"]:
        """A server that listens, while the block runs."""
        process = self.start("serve", "--port", "0", *arguments)
        try:
            yield Server(process, self._url_of(process))
        finally:
            process.terminate()
            process.communicate(timeout=30)

    def _url_of(self, process: "subprocess.Popen[bytes]") -> str:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if (holder := running_daemon(self.home)) and holder.pid == process.pid and holder.url:
                return holder.url
            if process.poll() is not None:
                raise AssertionError(f"it ended with {process.returncode}: {process.communicate()}")
            time.sleep(0.02)
        raise AssertionError("it never listened")

    def wait_for(self, pattern: str, process: "subprocess.Popen[bytes] | None" = None) -> Path:
        """Wait until something below the state directory matches."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if found := next(self.home.glob(pattern), None):
                return found
            if process and process.poll() is not None:
                raise AssertionError(f"it ended with {process.returncode}: {process.communicate()}")
            time.sleep(0.02)
        raise AssertionError(f"{pattern} never appeared in {self.home}")

    def wait_for_state(self, task: str, state: str) -> dict[str, Any]:
        """Wait until a task is in a state; its report."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            report: dict[str, Any] = self.run("show", task, "--json").json()
            if report["state"] == state:
                return report
        raise AssertionError(f"{task} was never {state}: {report}")

    def tasks(self, *arguments: str) -> list[dict[str, Any]]:
        """The reports of all tasks, newest first."""
        found: list[dict[str, Any]] = self.run("list", "--json", *arguments).json()["tasks"]
        return found

    def killed(self, *arguments: str, at: str) -> dict[str, Any]:
        """Start a command that runs a task, kill it once something below the state directory matches; the task's report."""
        process = self.start(*arguments)
        self.wait_for(at, process)
        process.kill()
        process.communicate(timeout=30)
        return self.tasks("-n", "1")[0]


def tool(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}
