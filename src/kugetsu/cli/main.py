"""The entry point: finds the command, and turns errors into messages and exit codes."""

import importlib
import logging
import os
import sys
from typing import Final

import click

from kugetsu import __version__
from kugetsu.cli.exits import Exit
from kugetsu.errors import KugetsuError, QueueFullError, UsageError

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "demo": ("demo", "Watch three agents fix a sample project; needs no key and no network."),
    "run": ("run", "Do one task in the foreground and hand back a branch."),
    "submit": ("submit", "Put a task into the queue."),
    "serve": ("serve", "Work on the queue, many tasks at once."),
    "list": ("inspect", "List tasks, newest first."),
    "show": ("inspect", "Show everything that is known of a task."),
    "diff": ("inspect", "Show what a task changed."),
    "stats": ("inspect", "Say how things stand: what waits, what runs, what there is room for."),
    "logs": ("logs", "Show what happened in a task, or its conversation."),
    "resume": ("resume", "Go on in the foreground with a task that was interrupted, paused or answered."),
    "cancel": ("control", "End a task; its work is kept on its branch."),
    "pause": ("control", "Let a task rest after its current turn."),
    "retry": ("control", "Put a failed or cancelled task into the queue again."),
    "answer": ("control", "Answer the question of a task."),
    "steer": ("control", "Say something to the agent of a task."),
    "priority": ("control", "Give a task another place in the queue."),
    "rewind": ("rewind", "Put a task back to the end of a turn, conversation and worktree."),
    "fork": ("rewind", "Begin a new task from the end of a turn of another one."),
    "token": ("token", "Let programs in over HTTP, and keep them out: `add`, `list`, `revoke`."),
    "notify": (
        "notify",
        "See what was told to whom, tell it again, or try a target: `list`, `retry`, `clear`, `test`.",
    ),
    "mcp": ("mcp", "Offer tasks to a program that speaks MCP, on stdin and stdout."),
    "hermes": ("hermes", "Let Hermes hand tasks over and hear of them in its chats: `setup`, `status`."),
    "prune": ("prune", "Free disk space: take away what tasks that are over left behind. What is not delivered stays."),
    "doctor": ("doctor", "Say what is there, what is missing, and how to mend it."),
    "log-level": ("log_level", "Show or change how much the log of `serve` says."),
    "config": ("config", "Show the settings in force and where each comes from."),
}
"""Each command with its module, which is imported only when the command is used, and its line in the help."""

FAMILIAR: Final[dict[str, tuple[str, str]]] = {
    "delegate": ("familiar", "Put a task into the queue, as `submit`."),
    "start": ("familiar", "Put a task about an issue into the queue."),
    "continue": ("familiar", "Let a task go on, however it stands; with a message or without."),
    "status": ("queue", "Say where a task stands, or what runs, what asks, and whether a server is there."),
    "queue": ("queue", "List, count, clear or enqueue what waits: `list`, `stats`, `clear`, `enqueue`."),
    "context": ("familiar", "Show the conversation of a task, as `logs --session`."),
    "destroy": ("familiar", "End a task, as `cancel`; its branch stays."),
}
"""The same for names that users of the original Kugetsu know."""


class Commands(click.Group):
    """A group that imports a command when it is used, so that `--help` is fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        """All names, in the order of the help."""
        return [*COMMANDS, *FAMILIAR]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """Import a command; None when there is none of this name."""
        found = COMMANDS.get(cmd_name) or FAMILIAR.get(cmd_name)
        if found is None:
            return None
        module = importlib.import_module(f"kugetsu.cli.commands.{found[0]}")
        command: click.Command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        """Write the help of all commands without importing them."""
        for title, names in (("Commands", COMMANDS), ("Familiar names", FAMILIAR)):
            with formatter.section(title):
                formatter.write_dl([(name, text) for name, (_, text) in names.items()])


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `kugetsu demo`. Every command says more with --help.",
)
@click.version_option(__version__, "--version", prog_name="kugetsu", message="%(prog)s %(version)s")
def commands() -> None:
    """Run coding agents in numbers, each in a git worktree of its own, and get back branches with computed proof.

    Exit codes: 0 completed, 1 the task failed, 2 wrong usage or configuration, 3 cancelled, 4 no capacity (try later),
    5 the task is not over: it waits for an answer, is paused, or was interrupted.
    """


def main() -> None:
    """Run the command line and exit."""
    _open_missing_streams()
    # What is for the log of `serve` is not for the terminal of other commands.
    logging.getLogger("kugetsu").addHandler(logging.NullHandler())
    code = run_command_line(sys.argv[1:])
    try:
        sys.stdout.flush()
    except OSError as error:
        code = _unwritable(error) or code
    sys.exit(code)


def run_command_line(arguments: list[str]) -> int:
    """Run one command; returns its exit code."""
    try:
        with commands.make_context("kugetsu", arguments) as context:
            result = commands.invoke(context)
    except click.exceptions.Exit as done:
        return done.exit_code
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("kugetsu: cancelled", err=True)
        return Exit.CANCELLED
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except KugetsuError as error:
        _show(error)
        return _code_of(error)
    except OSError as error:
        return _unwritable(error) or Exit.COMPLETED
    return result if isinstance(result, int) else Exit.COMPLETED


def _code_of(error: KugetsuError) -> Exit:
    match error:
        case UsageError():
            return Exit.USAGE
        case QueueFullError():
            return Exit.NO_CAPACITY
        case _:
            return Exit.FAILED


def _show(error: KugetsuError) -> None:
    click.echo(f"kugetsu: {error.message}", err=True)
    if error.fix:
        click.echo(f"  -> {error.fix}", err=True)


def _unwritable(error: OSError) -> Exit | None:
    """Say that the machine refused something, unless it is only that nobody reads our output any more."""
    # Whatever is still in the buffer has nowhere to go; the interpreter must not try again at its end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return None
    where = f" ({error.filename})" if error.filename else ""
    click.echo(f"kugetsu: {error.strerror}{where}", err=True)
    return Exit.FAILED


def _open_missing_streams() -> None:
    """A stream that was closed before we started (`>&-`) swallows what is written to it."""
    for name, number in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            mode = "r" if number == 0 else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - open until the end
