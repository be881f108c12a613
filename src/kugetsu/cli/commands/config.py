"""`kugetsu config`."""

from pathlib import Path

import click

from kugetsu.cli.options import config_option, json_option, load, notify, write_json
from kugetsu.config import describe


@click.command("config")
@click.option("--repo", default=".", metavar="PATH", help="Count in the kugetsu.toml of this repository.")
@config_option
@json_option
def config_command(repo: str, config_file: Path | None, *, as_json: bool) -> None:
    """Show the settings in force and where each comes from. Keys are never shown."""
    loaded = load(repo, config_file=config_file)
    rows = describe(loaded)
    if as_json:
        fields = [{"field": field, "value": value, "origin": origin} for field, value, origin in rows]
        write_json({"settings": fields, "notices": loaded.notices})
        return
    notify(loaded.notices)
    width = max(len(field) for field, _, _ in rows)
    for field, value, origin in rows:
        click.echo(f"{field:<{width}}  {value}  ({origin})")
