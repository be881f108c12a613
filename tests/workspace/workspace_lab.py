"""What the tests of workspaces share: real repositories, a user of their own, and an agent that uses git."""

import hashlib
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from kugetsu.processes import clean_environment
from kugetsu.tasks import Task, new_task_id
from kugetsu.workspace import GitWorkspace, GitWorkspaces
from kugetsu.workspace.private import task_id_of

FILES = {"README.md": "hello\n", "src/main.py": "print(1)\n", "src/other.py": "print(2)\n", ".gitignore": "*.log\n"}


class Lab:
    """A directory with a user's home, repositories and the state of Kugetsu."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.home = directory / "state"
        self.user = directory / "user"
        self.user.mkdir()
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.user),
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        self.configure("user.name=Una User", "user.email=una@example.org", "init.defaultBranch=main")
        self.workspaces = GitWorkspaces(self.home, environ=self.environ)

    def configure(self, *settings: str) -> None:
        for setting in settings:
            name, _, value = setting.partition("=")
            self.git(self.directory, "config", "--global", name, value)

    def run(
        self, cwd: Path, *argv: str | bytes | Path, stdin: bytes = b"", env: Mapping[str, str] | None = None
    ) -> bytes:
        full = {**clean_environment(self.environ), "GIT_CONFIG_NOSYSTEM": "1", **(env or {})}
        done = subprocess.run(argv, cwd=cwd, env=full, input=stdin, capture_output=True, check=False)
        assert done.returncode == 0, (argv, done.stdout, done.stderr)
        return done.stdout

    def git(self, cwd: Path, *arguments: str | bytes | Path, stdin: bytes = b"") -> str:
        return self.run(cwd, "git", *arguments, stdin=stdin).decode(errors="surrogateescape").strip()

    def try_git(self, cwd: Path, *arguments: str) -> int:
        env = {**clean_environment(self.environ), "GIT_CONFIG_NOSYSTEM": "1"}
        return subprocess.run(["git", *arguments], cwd=cwd, env=env, capture_output=True, check=False).returncode

    def repository(self, name: str = "repo", files: Mapping[str, str] | None = None, *options: str) -> Path:
        """A repository with one commit."""
        path = self.directory / name
        self.git(self.directory, "init", "--quiet", *options, path)
        self.commit(path, FILES if files is None else files)
        return path

    def commit(self, path: Path, files: Mapping[str, str], message: str = "a commit") -> str:
        """Write files and commit everything; returns the commit."""
        for name, text in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_text(text)
        self.git(path, "add", "--all")
        self.git(path, "commit", "--quiet", "--allow-empty", "-m", message)
        return self.git(path, "rev-parse", "HEAD")

    def task(self, repo: Path | str, prompt: str = "fix the parser", base: str = "") -> Task:
        return Task(id=new_task_id(), prompt=prompt, repo=str(repo), model="scripted:x", base=base)

    async def create(self, repo: Path | str, base: str = "") -> GitWorkspace:
        return await self.workspaces.create(self.task(repo, base=base))

    def agent(self, workspace: GitWorkspace, command: str) -> str:
        """Run a shell command in the worktree, with the environment that an agent's commands have."""
        env = clean_environment(self.environ, extra=workspace.environment)
        return self.run(workspace.path, "bash", "-c", f"set -e; {command}", env=env).decode(errors="surrogateescape")

    def private(self, workspace: GitWorkspace) -> Path:
        [repository] = (self.home / "repos").glob(f"{workspace.path.name.partition('-')[0]}.git")
        return repository

    def show(self, repo: Path, ref: str, name: str) -> str:
        """The contents of a file in a commit, exactly."""
        return self.run(repo, "git", "show", f"{ref}:{name}").decode(errors="surrogateescape")

    def files(self, repo: Path, ref: str) -> list[str]:
        listed = self.run(repo, "git", "ls-tree", "-r", "-z", "--name-only", ref)
        return [os.fsdecode(name) for name in listed.split(b"\0") if name]

    async def forget(self, workspace: GitWorkspace) -> bool:
        return await self.workspaces.forget(task_id_of(workspace.branch), workspace.place)

    def left_overs(self) -> list[str]:
        """Everything that tasks left in the state directory."""
        folders = (self.home / "repos", self.home / "worktrees")
        return [path.name for folder in folders if folder.is_dir() for path in folder.iterdir()]


def fingerprint(repo: Path, *leave_out: str) -> dict[str, str]:
    """Every file of a repository and its checkout, objects and the named branches left out, with what it holds."""
    skipped = {f"{folder}refs/heads/{branch}" for branch in leave_out for folder in ("", "logs/")}
    found: dict[str, str] = {}
    for path in sorted(repo.rglob("*")):
        name = str(path.relative_to(repo))
        inside = name.partition(".git/")[2]
        if inside.startswith("objects/") or inside in skipped:
            continue
        if path.is_symlink():
            found[name] = f"link to {path.readlink()}"
        elif path.is_file():
            found[name] = f"{path.stat().st_mode:o} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    return found


def contents(worktree: Path) -> dict[str, str]:
    """Every file below a directory, with its kind, whether it can be executed, and what it holds; `.git` left out."""
    found: dict[str, str] = {}
    for path in worktree.rglob("*"):
        name = str(path.relative_to(worktree))
        if name == ".git" or (path.is_dir() and not path.is_symlink()):
            continue
        if path.is_symlink():
            found[name] = f"link to {path.readlink()}"
        elif path.is_file():
            found[name] = f"{path.stat().st_mode & 0o100:o} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    return found
