"""What commands that make a task are told of it."""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
import msgspec

from kugetsu.app.projects import project_of, subject_of
from kugetsu.cli.options import load, setting_options
from kugetsu.config import Loaded
from kugetsu.errors import UsageError
from kugetsu.protocols import NewTask
from kugetsu.tasks import require_reply_to

if TYPE_CHECKING:
    from kugetsu.app.house import House
    from kugetsu.tasks import Task

Command = TypeVar("Command", bound=Callable[..., Any])

_SCRIPTED: Final = "scripted:"
"""The beginning of a model's name that names a file."""

_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|[^\s/:@]+@[^\s/@]+:")
"""The beginning of a URL or of `user@host:path`."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The options of `task_options` as they were given; None for what was not."""

    repo: str | None = None
    model: str = ""
    base: str = ""
    check: str | None = None
    no_commit: bool = False
    keep_worktree: bool = False
    reply_to: tuple[str, ...] = ()
    config_file: Path | None = None
    max_turns: int | None = None
    max_seconds: float | None = None
    max_tokens: int | None = None
    max_usd: float | None = None
    subject: str = ""

    def settled(self) -> "Settled":
        """What is asked for, with what the settings of this user say of it.

        Raises:
            ConfigError: a setting is wrong.
            UsageError: what it is about is no issue.
        """
        repo = "." if self.repo is None and not self.subject else self.repo
        loaded = self._load(repo)
        if not self.subject:
            return Settled(asked=self, loaded=loaded, repo=repo or "", model=loaded.settings.model)
        subject = subject_of(self.subject, loaded.settings.projects)
        project = project_of(subject, loaded.settings.projects)
        if repo is None:
            repo = project.repo
            loaded = self._load(repo)
        return Settled(
            asked=self,
            loaded=loaded,
            repo=repo,
            model=self.model or project.model or loaded.settings.model,
            check=project.check if self.check is None else self.check,
            subject=str(subject),
        )

    def there(self, prompt: str, **more: Any) -> NewTask:  # noqa: ANN401 - fields of `NewTask`
        """The task for a server elsewhere: what was said and no more, since its own settings count.

        Raises:
            UsageError: the repository is named as it is seen from here.
        """
        repo = "." if self.repo is None and not self.subject else self.repo
        if repo is not None and not (_ADDRESS.match(repo) or repo.startswith("/")):
            raise UsageError(
                f"the repository {repo!r} is named as it is seen from here, not from the server",
                fix="name it with --repo as the server sees it, by a URL or a whole path; or an issue with --subject",
            )
        if self.config_file:
            raise UsageError(
                f"the settings in {self.config_file} do not count on the server", fix="say by flags what you want"
            )
        return NewTask(
            prompt=prompt,
            repo=repo or "",
            model=self.model,
            base=self.base,
            check=self.check,
            turns=self.max_turns,
            wall_seconds=self.max_seconds,
            tokens=self.max_tokens,
            usd=self.max_usd,
            commit_leftovers=False if self.no_commit else None,
            keep_workspace=True if self.keep_worktree else None,
            subject=self.subject,
            reply_to=self.addressee,
            **more,
        )

    @property
    def addressee(self) -> dict[str, str]:
        """Who hears what becomes of the task.

        Raises:
            UsageError: it cannot be so.
        """
        named: dict[str, str] = {}
        for pair in self.reply_to:
            name, equals, value = pair.partition("=")
            if not equals or name in named:
                why = "is named twice" if equals else "has no value"
                raise UsageError(f"--reply-to: {name} {why}", fix="write for example --reply-to target=ops")
            named[name] = value
        try:
            require_reply_to(named)
        except ValueError as error:
            raise UsageError(f"--reply-to: {error}") from error
        return named

    def _load(self, repo: str | None) -> Loaded:
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
        return load(repo, config_file=self.config_file, flags={**flags, "workspace": workspace})


@dataclass(frozen=True, kw_only=True)
class Settled:
    """What is asked for, where nothing is left open.

    Attributes:
        asked: what was said.
        loaded: the settings, with what was said over them.
        repo: path or URL.
        model: empty when nobody names one.
        check: of the issue's project; empty for that of the settings.
        subject: what it is about, empty for nothing that has a name.
    """

    asked: Asked
    loaded: Loaded
    repo: str
    model: str
    check: str = ""
    subject: str = ""

    def task(self, house: "House", prompt: str) -> "Task":
        """The task, to be done here and now."""
        return house.task(
            self.repo,
            prompt,
            model=self.model,
            base=self.asked.base,
            check=self.check or None,
            notices=self.loaded.notices,
            subject=self.subject,
            reply_to=self.asked.addressee,
        )

    def here(self, prompt: str, **more: Any) -> NewTask:  # noqa: ANN401 - fields of `NewTask`
        """The task for the queue of this machine: the same whether a server takes it in or this process does."""
        settings = self.loaded.settings
        return NewTask(
            prompt=prompt,
            repo=_whole(self.repo),
            model=_from_anywhere(self.model),
            base=self.asked.base,
            check=self.check or settings.check,
            check_seconds=settings.check_seconds,
            instructions=settings.instructions,
            attempts=settings.queue.attempts,
            commit_leftovers=settings.workspace.commit_leftovers,
            keep_workspace=settings.workspace.keep,
            subject=self.subject,
            reply_to=self.asked.addressee,
            notices=self.loaded.notices,
            **msgspec.structs.asdict(settings.limits),
            **more,
        )


def _whole(repo: str) -> str:
    """The same repository, wherever it is named."""
    if not repo or (_ADDRESS.match(repo) and not Path(repo).exists()):
        return repo
    try:
        return str(Path(repo).expanduser().absolute())
    except RuntimeError:  # `~somebody` whom the machine does not know: it is refused where it is looked for
        return repo


def _from_anywhere(model: str) -> str:
    """The same model, wherever it is named."""
    file = model.removeprefix(_SCRIPTED)
    return f"{_SCRIPTED}{_whole(file)}" if file and file != model else model


def work_options(command: Command) -> Command:
    """Add what a task can be told, apart from what it is about; `Asked` takes the values."""
    for option in (
        setting_options,
        click.option(
            "--reply-to",
            multiple=True,
            metavar="NAME=VALUE",
            help="Who hears what becomes of it: target=NAME of the settings' `notify`, and what that one needs. May be repeated.",
        ),
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
            "--repo",
            default=None,
            metavar="PATH_OR_URL",
            help="The repository. Default: that of the issue; without one, the current directory's.",
        ),
    ):
        command = option(command)
    return command


def subject_option(command: Command) -> Command:
    """Add `--subject`."""
    return click.option(
        "--subject",
        default="",
        metavar="ISSUE",
        help="What it is about: host/owner/repo#number or the address of an issue; a name of the task from then on.",
    )(command)


def task_options(command: Command) -> Command:
    """Add all that a task can be told; `Asked` takes the values."""
    return subject_option(work_options(command))


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
