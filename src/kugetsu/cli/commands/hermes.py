"""`kugetsu hermes`: let Hermes hand tasks to Kugetsu, and hear of them in its chats."""

import asyncio
import os
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, get_args

import click

from kugetsu.cli.exits import Exit
from kugetsu.cli.options import config_option, json_option, write_json
from kugetsu.config import state_home
from kugetsu.errors import RecordError, UsageError
from kugetsu.gateway.hermes import Mode, Plan, Wish, examine, find_hermes, make_plan, settings_file, write

if TYPE_CHECKING:
    from kugetsu.protocols import Scope, Token

_SCOPES: "Final[tuple[Scope, ...]]" = ("submit", "read", "control")

home_option = click.option(
    "--hermes-home",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The home of Hermes. Default: HERMES_HOME, or ~/.hermes.",
)


@click.group("hermes")
def hermes_command() -> None:
    """Work together with Hermes: it hands tasks to Kugetsu, and results come back into the same chat."""


@hermes_command.command("setup")
@home_option
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    metavar="CHAT",
    help="A chat that results come back to, for example telegram. May be repeated. Default: all that are switched on.",
)
@click.option(
    "--mode",
    type=click.Choice(get_args(Mode)),
    default=None,
    help="http: ask `kugetsu serve`. spawn: a process for each task, without a server. Default: http, or as it is.",
)
@click.option("--url", default="", metavar="URL", help="Where `kugetsu serve` listens. Default: http://127.0.0.1:8787.")
@click.option(
    "--repo",
    "repositories",
    multiple=True,
    metavar="NAME=PATH_OR_URL",
    help="A short name for a repository, to be used in chats. May be repeated; the first is the default.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only show what would be written.")
@config_option
def setup_command(
    hermes_home: Path | None,
    platforms: tuple[str, ...],
    mode: Mode | None,
    url: str,
    repositories: tuple[str, ...],
    config_file: Path | None,
    *,
    yes: bool,
    dry_run: bool,
) -> int:
    """Let Hermes and Kugetsu know each other. Shows what is written on both sides first, and asks.

    May be repeated: what is there stays, and nothing is written twice. What was there before is kept beside it.
    """
    place = find_hermes(hermes_home, os.environ)
    settings = settings_file(config_file, os.environ)
    wish = Wish(mode=mode, platforms=platforms, server=url, repositories=_repositories(repositories))
    plan = make_plan(place, settings, wish, os.environ, token=os.environ.get("KUGETSU_TOKEN", ""))
    made = asyncio.run(_new_token()) if plan.mode == "http" and plan.needs_token else None
    if made:
        plan = make_plan(place, settings, wish, os.environ, token=made[1])
    if not plan.needed:
        click.echo("Everything is set up already. `kugetsu hermes status` looks whether it works.")
        return Exit.COMPLETED
    _show(plan, made[0].name if made else "")
    if dry_run:
        return Exit.COMPLETED
    if not yes and not click.confirm("Write this?", default=False):
        click.echo("Nothing was written.")
        return Exit.CANCELLED
    if made:
        asyncio.run(_keep_token(made[0]))
    for copy in write(plan.changes):
        click.echo(f"What was there before is kept in {copy}")
    _say_what_next(plan)
    return Exit.COMPLETED


@hermes_command.command("status")
@home_option
@config_option
@json_option
def status_command(hermes_home: Path | None, config_file: Path | None, *, as_json: bool) -> int:
    """Say what is set up, what answers, and what is missing. Ends with 1 when something is."""
    place = find_hermes(hermes_home, os.environ)
    points = examine(place, settings_file(config_file, os.environ), os.environ)
    good = all(point.good for point in points)
    if as_json:
        write_json({"good": good, "points": points})
        return Exit.COMPLETED if good else Exit.FAILED
    width = max(len(point.name) for point in points)
    for point in points:
        click.echo(f"{'ok' if point.good else 'missing':<8}{point.name:<{width}}  {point.detail}")
        if point.fix:
            click.echo(f"{'':<8}{'':<{width}}  -> {point.fix}")
    return Exit.COMPLETED if good else Exit.FAILED


def _repositories(pairs: tuple[str, ...]) -> dict[str, str]:
    named = {}
    for pair in pairs:
        name, equals, place = pair.partition("=")
        if not (name and equals and place):
            raise UsageError(f"--repo {pair}: it has no name or no place", fix="write NAME=PATH_OR_URL")
        local = Path(place).expanduser()
        named[name] = str(local.absolute()) if local.is_dir() else place
    return named


def _show(plan: Plan, token: str) -> None:
    for change in plan.needed:
        click.echo(change.shown(plan.secrets), nl=False)
    if token:
        click.echo(f"\nA token {token!r} is made for Hermes ({', '.join(_SCOPES)}): others are in use already.")
    click.echo(f"\nNews come back to: {', '.join(plan.platforms)}. Secrets are not shown.")


def _say_what_next(plan: Plan) -> None:
    click.echo("Written. What to do next:")
    click.echo("  restart the gateway of Hermes: hermes gateway restart")
    if plan.mode == "http":
        click.echo("  start Kugetsu, or start it again: kugetsu serve")
    click.echo("  look whether it works: kugetsu hermes status")
    click.echo("  then write into the chat: /kugetsu help")


async def _new_token() -> "tuple[Token, str] | None":
    """A token for Hermes that is kept nowhere yet; None when nobody needs one."""
    from kugetsu.gateway.http.tokens import make_token  # noqa: PLC0415 - needed only here
    from kugetsu.storage import SqlStore  # noqa: PLC0415 - as above

    try:
        store = await SqlStore.open(state_home(os.environ), create=False)
    except RecordError:
        return None  # nothing is kept yet: then there are no tokens either
    try:
        names = {token.name for token in await store.tokens() if not token.revoked_at}
    finally:
        await store.close()
    if not names:
        return None
    name = "hermes" if "hermes" not in names else f"hermes-{secrets.token_hex(2)}"
    return make_token(name, _SCOPES, time.time())


async def _keep_token(token: "Token") -> None:
    from kugetsu.storage import SqlStore  # noqa: PLC0415 - needed only here

    store = await SqlStore.open(state_home(os.environ))
    try:
        await store.add_token(token)
    finally:
        await store.close()
