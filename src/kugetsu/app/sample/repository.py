"""Makes the sample project: its files, and a git repository of them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kugetsu.app.sample.tasks import sample_data
from kugetsu.errors import UsageError, WorkspaceError
from kugetsu.processes import capture, clean_environment

_SECONDS: Final = 60.0
"""Time limit of one git command."""

_STEPS: Final[tuple[tuple[str, ...], ...]] = (
    ("init", "--quiet", "--template="),
    ("symbolic-ref", "HEAD", "refs/heads/main"),
    # Worktrees take this over; the rehearsed commands and edits are meant for these line ends.
    ("config", "core.autocrlf", "false"),
    ("add", "README.md", "AGENTS.md", ".gitignore", "boathouse"),
    ("commit", "--quiet", "--message", "Read dates, merge slots and price bookings"),
    ("add", "--all"),
    ("commit", "--quiet", "--message", "Test what customers complained about"),
)


async def create_sample(directory: Path) -> None:
    """Write the sample project and make it a git repository of two commits on the branch `main`.

    The user's git configuration has no influence on it, so its commits have the same ids everywhere.

    Args:
        directory: made with its parents; if it exists, it must be empty.

    Raises:
        UsageError: it is not empty.
        WorkspaceError: it cannot be written, or git is missing or failed.
    """
    try:
        _write_project(directory)
        for arguments in _STEPS:
            await _git(directory, arguments)
    except OSError as error:
        raise WorkspaceError(f"cannot make the sample project in {directory}: {error}") from error


def _write_project(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise UsageError(f"{directory} is not empty", fix="name a new directory for the sample project")
    project = sample_data() / "project"
    for source in project.rglob("*.txt"):
        target = directory / source.relative_to(project).with_suffix("")
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(source.read_bytes())


async def _git(directory: Path, arguments: Sequence[str]) -> None:
    done = await capture(["git", *arguments], cwd=directory, env=_environment(directory), seconds=_SECONDS)
    if done.code:
        said = done.stderr.decode(errors="replace").strip()
        raise WorkspaceError(f"git {arguments[0]} failed in {directory}: {said or f'exit code {done.code}'}")


def _environment(directory: Path) -> dict[str, str]:
    """The environment of git without any configuration of the user or the machine, at a fixed time."""
    moment = "2026-01-05T09:00:00+00:00"
    return clean_environment(
        os.environ,
        extra={
            "GIT_CONFIG_NOSYSTEM": "1",
            "HOME": str(directory),
            "XDG_CONFIG_HOME": str(directory),
            "GIT_AUTHOR_NAME": "The boathouse",
            "GIT_AUTHOR_EMAIL": "boathouse@example.org",
            "GIT_AUTHOR_DATE": moment,
            "GIT_COMMITTER_NAME": "The boathouse",
            "GIT_COMMITTER_EMAIL": "boathouse@example.org",
            "GIT_COMMITTER_DATE": moment,
        },
    )
