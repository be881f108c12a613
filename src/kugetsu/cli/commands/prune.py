"""`kugetsu prune`."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from kugetsu.app.ballast import drop_ballast
from kugetsu.app.clearing import Done
from kugetsu.app.keeping import Item
from kugetsu.app.pruning import Plan, Pruner
from kugetsu.app.survey import OnStep
from kugetsu.cli.options import config_option, json_option, load, notify, write_json
from kugetsu.cli.records import open_records
from kugetsu.cli.views.pruned import done_line, plan_lines, rest_lines
from kugetsu.config import Settings, state_home
from kugetsu.protocols import SystemClock


@click.command("prune")
@click.option("--dry-run", is_flag=True, help="Only say what would go, what would stay, and why.")
@click.option(
    "--older-than",
    "days",
    type=click.FloatRange(0),
    metavar="DAYS",
    help="Keep what is delivered for so long after its task. Default: as set (`disk.keep_days`).",
)
@config_option
@json_option
def prune_command(days: float | None, config_file: Path | None, *, dry_run: bool, as_json: bool) -> None:
    """Free disk space: take away what tasks that are over have left behind, by a rule that loses nothing.

    What belongs to a task that is not over stays. So does what is not delivered, with the command that gets it.

    What is merged goes an hour after the end of its task, and what is delivered after `disk.keep_days`; before that, the
    oldest first, while more than `disk.most_gb` is taken. The mirror of a URL goes when no task has used it for as long,
    and the remote has all that it has.

    Your repositories and the branches in them are never touched. `list`, `show`, `diff` and `logs` work as before; `rewind`
    and `fork` need what went. `kugetsu serve` does the same every hour.
    """
    loaded = load(config_file=config_file)
    if not as_json:
        notify(loaded.notices)
    asyncio.run(_prune(loaded.settings, days, dry_run=dry_run, as_json=as_json))


async def _prune(settings: Settings, days: float | None, *, dry_run: bool, as_json: bool) -> None:
    home = state_home(os.environ)
    drop_ballast(home)
    async with open_records() as store:
        with _progress(quiet=as_json) as on_step:
            pruner = Pruner(home, os.environ, store, settings.disk, SystemClock(), on_step)
            done: list[Done] = []
            if dry_run or not home.is_dir():
                plan = await pruner.plan(days=days)
            else:
                async with pruner.alone(wait=True):
                    plan, done = await pruner.prune(_nothing if as_json else _print_done, days=days)
    if as_json:
        write_json(_as_json(plan, done, dry_run=dry_run))
        return
    for line in plan_lines(plan) if dry_run else rest_lines(plan, done):
        click.echo(line)


@contextmanager
def _progress(*, quiet: bool) -> Iterator[OnStep]:
    """What is being done, on one line of a terminal that is cleared in the end."""
    if quiet or not sys.stderr.isatty():
        yield _nothing
        return
    with contextlib.suppress(OSError):
        yield lambda words: click.echo(f"\r\x1b[K{words}", err=True, nl=False)
        click.echo("\r\x1b[K", err=True, nl=False)


def _print_done(done: Done) -> None:
    clear = "\r\x1b[K" if sys.stderr.isatty() else ""
    click.echo(clear, err=True, nl=False)
    click.echo(done_line(done))


def _nothing(_told: object) -> None:
    """Nothing is shown."""


def _as_json(plan: Plan, done: list[Done], *, dry_run: bool) -> dict[str, Any]:
    going = (
        [_item(item) for item in plan.items if item.goes]
        if dry_run
        else [_item(each.item) for each in done if each.gone]
    )
    failed = [
        {**_item(each.item), "why": each.why, "command": each.command, "until": 0.0} for each in done if not each.gone
    ]
    freed = sum(item["bytes"] or 0 for item in going)
    return {
        "dry_run": dry_run,
        "would_go" if dry_run else "gone": going,
        "stays": [*failed, *(_item(item) for item in plan.items if not item.goes)],
        "would_free_bytes" if dry_run else "freed_bytes": freed,
        "taken_bytes": max(0, (plan.taken or 0) - (0 if dry_run else freed)),
        "most_bytes": plan.rule.most_bytes,
    }


def _item(item: Item) -> dict[str, Any]:
    holding = item.holding
    return {
        "kind": holding.kind,
        "name": holding.name,
        "bytes": holding.bytes,
        "why": item.why,
        "until": item.until,
        "command": holding.command,
        "paths": holding.paths,
    }
