"""`kugetsu run`."""

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import Any

import click

from kugetsu.app.house import House
from kugetsu.app.tuning import tune_process
from kugetsu.cli.exits import exit_code
from kugetsu.cli.foreground import run_in_foreground
from kugetsu.cli.options import json_option, load, notify, setting_options, write_json
from kugetsu.cli.views import ViewKind, open_view, print_details
from kugetsu.config import Loaded, state_home
from kugetsu.errors import UsageError
from kugetsu.tasks import TaskReport


@click.command("run", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("prompt")
@click.option("--repo", default=".", metavar="PATH_OR_URL", help="The repository. Default: the current directory's.")
@click.option("--model", default="", metavar="NAME", help="provider/model, or scripted:FILE for a rehearsal.")
@click.option("--base", default="", metavar="REF", help="Start from this branch, tag or commit.")
@click.option("--check", default=None, metavar="COMMAND", help="Shell command whose success proves the work.")
@click.option("--no-commit", is_flag=True, help="Leave what the agent did not commit uncommitted in the worktree.")
@click.option("--keep-worktree", is_flag=True, help="Keep the worktree even when all its work is on the branch.")
@click.option("--json-events", is_flag=True, help="Stream events as JSON lines on stderr instead of the live view.")
@json_option
@setting_options
def run_command(
    prompt: str,
    repo: str,
    model: str,
    base: str,
    check: str | None,
    config_file: Path | None,
    *,
    no_commit: bool,
    keep_worktree: bool,
    json_events: bool,
    as_json: bool,
    **limits: Any,  # noqa: ANN401 - one number a limit
) -> int:
    """Do one task in the foreground, without a server, and hand back a branch.

    PROMPT is the task in your words; - reads it from stdin. The agent works in a git worktree of its own: your checkout
    is not touched. Progress goes to stderr, the result to stdout. Ctrl-C cancels and keeps the work; once more stops at
    once.
    """
    flags: dict[str, Any] = {**limits, "model": model or None, "check": check}
    flags["workspace"] = {
        name: value for name, value in _workspace_flags(no_commit, keep_worktree) if value is not None
    }
    loaded = load(repo, config_file=config_file, flags=flags)
    if not json_events:
        notify(loaded.notices)
    text = _prompt(prompt)
    kind: ViewKind = "json" if json_events else "auto"
    report = asyncio.run(_run(loaded, text, repo, base, kind))
    with contextlib.suppress(BrokenPipeError):  # the task is what counts, not whether somebody reads about it
        if as_json:
            write_json(report)
        else:
            print_details(report, sys.stdout)
    return exit_code(report.state)


def _workspace_flags(no_commit: bool, keep: bool) -> list[tuple[str, bool | None]]:
    return [("commit_leftovers", False if no_commit else None), ("keep", True if keep else None)]


def _prompt(argument: str) -> str:
    if argument != "-":
        return argument
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"the prompt on stdin is no UTF-8: {error}") from error


async def _run(loaded: Loaded, prompt: str, repo: str, base: str, view: ViewKind) -> TaskReport:
    tune_process()
    async with House(loaded.settings, state_home(os.environ), os.environ) as house:
        shadow = house.shadow(house.task(repo, prompt, base=base, notices=loaded.notices))
        with open_view(view, sys.stderr) as shown:
            (report,) = await run_in_foreground([shadow], shown)
    return report
