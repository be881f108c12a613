"""The entry point: finds the command, and turns errors into messages and exit codes."""

import importlib
import sys
from typing import Final

import click

from kugetsu import __version__
from kugetsu.cli.exits import Exit
from kugetsu.errors import KugetsuError, UsageError

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "demo": ("demo", "Watch three agents fix a sample project; needs no key and no network."),
    "run": ("run", "Do one task in the foreground and hand back a branch."),
    "list": ("inspect", "List tasks, newest first."),
    "show": ("inspect", "Show everything that is known of a task."),
    "diff": ("inspect", "Show what a task changed."),
    "logs": ("inspect", "Show what happened in a task, or its whole conversation."),
    "doctor": ("doctor", "Say what is there, what is missing, and how to mend it."),
    "config": ("config", "Show the settings in force and where each comes from."),
}
"""Each command with its module, which is imported only when the command is used, and its line in the help."""


class Commands(click.Group):
    """A group that imports a command when it is used, so that `--help` is fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        """All names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """Import a command; None when there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"kugetsu.cli.commands.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        """Write the help of all commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `kugetsu demo`. Every command says more with --help.",
)
@click.version_option(__version__, "--version", prog_name="kugetsu", message="%(prog)s %(version)s")
def commands() -> None:
    """Run coding agents in numbers, each in a git worktree of its own, and get back branches with computed proof.

    Exit codes: 0 completed, 1 the task failed, 2 wrong usage or configuration, 3 cancelled, 4 no capacity, 5 waiting
    for an answer.
    """


def main() -> None:
    """Run the command line and exit."""
    sys.exit(run_command_line(sys.argv[1:]))


def run_command_line(arguments: list[str]) -> int:
    """Run one command; returns its exit code."""
    try:
        result = commands.main(arguments, prog_name="kugetsu", standalone_mode=False)
    except click.exceptions.Abort:
        return Exit.CANCELLED
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except KugetsuError as error:
        click.echo(f"kugetsu: {error.message}", err=True)
        if error.fix:
            click.echo(f"  -> {error.fix}", err=True)
        return Exit.USAGE if isinstance(error, UsageError) else Exit.FAILED
    except BrokenPipeError:
        # Whoever read our output has gone (`kugetsu list | head`): nothing more to say, and nowhere to say it.
        sys.stdout = None  # or the interpreter's last flush would complain
        return Exit.COMPLETED
    return result if isinstance(result, int) else Exit.COMPLETED
