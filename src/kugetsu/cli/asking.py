"""What commands that make a task are told of it."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from kugetsu.app.house import House
from kugetsu.cli.options import load, setting_options
from kugetsu.config import Loaded
from kugetsu.errors import UsageError
from kugetsu.tasks import Task

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The options of `task_options` as they were given; None for a limit that was not."""

    repo: str
    model: str
    base: str
    check: str | None
    no_commit: bool
    keep_worktree: bool
    config_file: Path | None
    max_turns: int | None
    max_seconds: float | None
    max_tokens: int | None
    max_usd: float | None

    def load(self) -> Loaded:
        """Load the settings, with these over them.

        Raises:
            ConfigError: a setting is wrong.
        """
        flags: dict[str, Any] = {
            "model": self.model or None,
            "check": self.check,
            "max_turns": self.max_turns,
            "max_seconds": self.max_seconds,
            "max_tokens": self.max_tokens,
            "max_usd": self.max_usd,
        }
        workspace = {"commit_leftovers": False} if self.no_commit else {}
        workspace |= {"keep": True} if self.keep_worktree else {}
        return load(self.repo, config_file=self.config_file, flags={**flags, "workspace": workspace})

    def task(self, house: House, prompt: str, loaded: Loaded, **more: Any) -> Task:  # noqa: ANN401 - see `House.task`
        """Make the task; `more` is handed to `House.task`."""
        return house.task(self.repo, prompt, base=self.base, notices=loaded.notices, **more)


def task_options(command: Command) -> Command:
    """Add what a task can be told; `Asked` takes the values."""
    for option in (
        setting_options,
        click.option(
            "--keep-worktree", is_flag=True, help="Keep the worktree even when all its work is on the branch."
        ),
        click.option(
            "--no-commit", is_flag=True, help="Leave what the agent did not commit uncommitted in the worktree."
        ),
        click.option("--check", default=None, metavar="COMMAND", help="Shell command whose success proves the work."),
        click.option("--base", default="", metavar="REF", help="Start from this branch, tag or commit."),
        click.option("--model", default="", metavar="NAME", help="provider/model, or scripted:FILE for a rehearsal."),
        click.option(
            "--repo", default=".", metavar="PATH_OR_URL", help="The repository. Default: the current directory's."
        ),
    ):
        command = option(command)
    return command


def read_text(argument: str, what: str) -> str:
    """The text that an argument stands for: itself, or for `-` what stdin says.

    Args:
        argument: as it was given.
        what: it is, for messages.

    Raises:
        UsageError: it is empty, or no UTF-8.
    """
    text = argument
    if argument == "-":
        try:
            text = sys.stdin.buffer.read().decode()
        except UnicodeDecodeError as error:
            raise UsageError(f"the {what} on stdin is no UTF-8: {error}") from error
    if not text.strip():
        raise UsageError(f"the {what} is empty", fix="give some words, or - and write them to stdin")
    return text
