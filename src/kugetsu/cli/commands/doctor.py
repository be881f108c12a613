"""`kugetsu doctor`."""

import asyncio
import os
from pathlib import Path

import click

from kugetsu.app.doctor import Finding, examine
from kugetsu.cli.exits import Exit
from kugetsu.cli.options import config_option, json_option, load, notify, write_json
from kugetsu.config import state_home
from kugetsu.gateway.health import examine_gateway

_MARKS = {"ok": "ok      ", "optional": "optional", "missing": "MISSING "}


@click.command("doctor")
@click.option("--model", default="", metavar="NAME", help="Also call this model once (costs a few tokens).")
@config_option
@json_option
def doctor_command(model: str, config_file: Path | None, *, as_json: bool) -> int:
    """Say what is there, what is missing, and how to mend it.

    Keys are named, never shown. Ends with 1 when something that is needed is missing.
    """
    loaded = load(config_file=config_file)
    findings = asyncio.run(examine(loaded.settings, os.environ, model))
    findings += examine_gateway(loaded.settings, state_home(os.environ), os.environ)
    if as_json:
        write_json({"checks": findings})
    else:
        notify(loaded.notices)
        for finding in findings:
            _print(finding)
    return Exit.FAILED if any(finding.status == "missing" for finding in findings) else Exit.COMPLETED


def _print(finding: Finding) -> None:
    click.echo(f"{_MARKS[finding.status]}  {finding.name}: {finding.detail}")
    if finding.fix and finding.status != "ok":
        click.echo(f"          -> {finding.fix}")
