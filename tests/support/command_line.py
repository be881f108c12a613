"""The real program on a real repository, as a user starts it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec


class Done(msgspec.Struct):
    code: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        return json.loads(self.stdout)


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


def tool(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}
