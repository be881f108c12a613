"""Options that several commands share, and what they say of settings."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from kugetsu.config import Loaded, load_settings
from kugetsu.messages import encode_json

Command = TypeVar("Command", bound=Callable[..., Any])

LIMIT_FLAGS = {"max_turns": "turns", "max_seconds": "wall_seconds", "max_tokens": "tokens", "max_usd": "usd"}
"""Flags that set a limit, and the limit's name in the settings."""


def setting_options(command: Command) -> Command:
    """Add the options that override settings: `--config` and the limits."""
    return limit_options(config_option(command))


def limit_options(command: Command) -> Command:
    """Add the limits of a task."""
    for option in (
        click.option(
            "--max-usd", type=click.FloatRange(0), metavar="USD", help="Stop at this much money; 0: no limit."
        ),
        click.option(
            "--max-tokens", type=click.IntRange(0), metavar="N", help="Stop at this many tokens; 0: no limit."
        ),
        click.option("--max-seconds", type=click.FloatRange(0), metavar="S", help="Stop after this time; 0: no limit."),
        click.option("--max-turns", type=click.IntRange(0), metavar="N", help="Stop after N replies; 0: no limit."),
    ):
        command = option(command)
    return command


def config_option(command: Command) -> Command:
    """Add `--config`."""
    return click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Read this file instead of kugetsu.toml in the user's configuration directory.",
    )(command)


def json_option(command: Command) -> Command:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")(command)


def output_options(command: Command) -> Command:
    """Add `--json` and `--json-events`."""
    return click.option(
        "--json-events", is_flag=True, help="Stream events as JSON lines on stderr instead of the live view."
    )(json_option(command))


def server_option(command: Command) -> Command:
    """Add `--server`; see `service.reach`."""
    return click.option(
        "--server",
        default="",
        metavar="URL",
        help="Ask this server; KUGETSU_TOKEN lets you in. Default: KUGETSU_SERVER, else what runs on this machine.",
    )(command)


def load(repo: str | None = None, *, config_file: Path | None = None, flags: dict[str, Any] | None = None) -> Loaded:
    """Load the settings for a command; flags that were not given (None) override nothing."""
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    limits = {LIMIT_FLAGS[name]: given.pop(name) for name in LIMIT_FLAGS if name in given}
    if limits:
        given["limits"] = limits
    local = Path(repo) if repo is not None else None
    return load_settings(
        environ=os.environ,
        repo=local if local is not None and local.is_dir() else None,
        config_file=config_file,
        flags=given,
    )


def notify(notices: tuple[str, ...]) -> None:
    """Tell the user what was ignored and why."""
    for notice in notices:
        click.echo(f"kugetsu: note: {notice}", err=True)


def write_json(value: object) -> None:
    """Print one JSON document on stdout."""
    sys.stdout.buffer.write(encode_json(value) + b"\n")
    sys.stdout.buffer.flush()
