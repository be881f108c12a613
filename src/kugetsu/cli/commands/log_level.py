"""`kugetsu log-level`."""

import os
from pathlib import Path
from typing import Final

import click

from kugetsu.cli.options import config_option, json_option, load, write_json
from kugetsu.config import LogLevel, prepare_home, state_home
from kugetsu.logs.levels import LEVELS, LevelFile

_FOLLOWS: Final = "a running `kugetsu serve` follows within about a second"


@click.command("log-level")
@click.argument("level", required=False, type=click.Choice(list(LEVELS), case_sensitive=False))
@click.option("--reset", is_flag=True, help="Let the level of the settings be in force again.")
@config_option
@json_option
def log_level_command(level: LogLevel | None, config_file: Path | None, *, reset: bool, as_json: bool) -> None:
    """Show how much `kugetsu serve` writes down, or change it while it runs.

    LEVEL names the least important lines that are written: debug, info, warning or error. It stays until it is changed
    again or reset, also when the program is started anew.
    """
    if level and reset:
        raise click.UsageError("name a level or say --reset, not both")
    loaded = load(config_file=config_file)
    file = LevelFile(state_home(os.environ))
    if level:
        prepare_home(file.path.parent)
        file.write(level)
    elif reset:
        file.remove()
    found = file.read()
    in_force, origin = found or loaded.settings.log.level, str(file.path) if found else loaded.origins["log.level"]
    if as_json:
        write_json({"level": in_force, "origin": origin})
        return
    click.echo(f"{in_force}  ({origin})")
    if level or reset:
        click.echo(f"kugetsu: {_FOLLOWS}", err=True)
