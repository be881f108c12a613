"""`kugetsu notify list`, `retry`, `clear` and `test`: news that go out."""

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, get_args

import click

from kugetsu.cli.exits import Exit
from kugetsu.cli.options import config_option, json_option, load, server_option, write_json
from kugetsu.cli.service import open_service, reach
from kugetsu.cli.times import span
from kugetsu.cli.views.amounts import counted
from kugetsu.cli.views.deliveries import print_deliveries
from kugetsu.config import Settings, state_home
from kugetsu.errors import UsageError
from kugetsu.protocols import Delivery, DeliveryState, SystemClock

_PAGE: Final = 500
_SEND_SECONDS: Final = 20.0
"""How long news are sent from here at most, when no server does it."""


@click.group("notify")
def notify_command() -> None:
    """See what was told to whom when tasks ended, had a question or stopped, and tell it again."""


@notify_command.command("list")
@click.option("-n", "--limit", type=click.IntRange(1), default=50, show_default=True, help="Show at most so many.")
@click.option(
    "--state",
    "states",
    type=click.Choice(get_args(DeliveryState)),
    multiple=True,
    help="Show only those in this state. May be repeated.",
)
@server_option
@json_option
def list_news(limit: int, states: tuple[DeliveryState, ...], server: str, *, as_json: bool) -> None:
    """List news, newest first. Below those that did not arrive stands why."""
    _print(asyncio.run(_newest(server, states, limit)), as_json=as_json)


@notify_command.command("retry")
@click.argument("ids", metavar="[ID]...", type=click.IntRange(1), nargs=-1)
@config_option
@server_option
@json_option
def retry_news(ids: tuple[int, ...], config_file: Path | None, server: str, *, as_json: bool) -> None:
    """Try news again now: those named, or all that expired or were refused.

    A running server sends them. Without one they are sent from here, with all that is due; what does not arrive within
    twenty seconds stays on its way.
    """
    _print(asyncio.run(_retry(ids, load(config_file=config_file).settings, server)), as_json=as_json)


@notify_command.command("clear")
@click.option(
    "--older-than", default="0", metavar="TIME", help="Keep what is younger: 90, 15m, 2d. Default: keep none."
)
def clear_news(older_than: str) -> None:
    """Forget news that arrived or were given up, on this machine. What is on its way stays."""
    gone = asyncio.run(_clear(time.time() - span(older_than)))
    click.echo(f"{counted(gone, 'message')} forgotten")


@notify_command.command("test")
@click.argument("target")
@click.option(
    "--reply-to",
    "pairs",
    multiple=True,
    metavar="NAME=VALUE",
    help="As a task's reply_to: platform=telegram, chat_id=42.",
)
@config_option
@json_option
def test_target(target: str, pairs: tuple[str, ...], config_file: Path | None, *, as_json: bool) -> int:
    """Send a signed sample to a target of the settings, and say what came back."""
    settings = load(config_file=config_file).settings
    if target not in settings.notify:
        known = ", ".join(settings.notify) or "none"
        raise UsageError(f"there is no target {target!a}", fix=f"set up [notify.{target}]; there are: {known}")
    from kugetsu.gateway.notifications.trying import send_sample  # noqa: PLC0415 - needed only here

    attempt = asyncio.run(send_sample(target, _reply_to(pairs), settings, os.environ, SystemClock()))
    came = attempt.answer or attempt.said
    if as_json:
        write_json({"target": target, "delivered": attempt.state == "delivered", "answer": came})
    else:
        how = "delivered" if attempt.state == "delivered" else "NOT delivered"
        click.echo(f"{target}: {how}{f'; {came}' if came else ''}")
    return Exit.COMPLETED if attempt.state == "delivered" else Exit.FAILED


async def _newest(server: str, states: tuple[DeliveryState, ...], most: int) -> list[Delivery]:
    found: list[Delivery] = []
    async with open_service(server) as tasks:
        while len(found) < most:
            before = found[-1].id if found else 0
            page = await tasks.deliveries(states=states, most=min(_PAGE, most - len(found)), before=before)
            if not page:
                break
            found += page
    return found


async def _retry(ids: Sequence[int], settings: Settings, server: str) -> list[Delivery]:
    """Try again what was asked for; what was tried, as it is then."""
    async with reach(server, settings=settings, writing=True) as reached:
        again = list(await reached.service.retry_deliveries(ids))
        elsewhere = reached.url or (await reached.service.stats()).served
    if unknown := sorted(set(ids) - {delivery.id for delivery in again}):
        raise UsageError(
            f"there is nothing to be sent of {', '.join(map(str, unknown))}",
            fix="`kugetsu notify list` names what there is",
        )
    return again if elsewhere else await _send(again, settings, whole=not ids)


async def _send(again: Sequence[Delivery], settings: Settings, *, whole: bool) -> list[Delivery]:
    """Send news from here; those that were to be tried again, as they are then.

    Args:
        again: which.
        settings: who the targets are.
        whole: whether all else that is due is sent too.
    """
    from kugetsu.gateway.notifications import Dispatcher  # noqa: PLC0415 - needed only without a server
    from kugetsu.storage import SqlStore  # noqa: PLC0415 - as above

    store = await SqlStore.open(state_home(os.environ), create=False)
    try:
        late = [] if not whole else await store.deliveries(states=["pending"])
        ids = {delivery.id for delivery in (*again, *late)}
        tasks = {delivery.task for delivery in again}
        if ids or whole:
            dispatcher = Dispatcher(store, settings, os.environ, SystemClock(), _say)
            async with dispatcher.running(() if whole else tasks):
                await dispatcher.drain(_SEND_SECONDS)
        found = await store.deliveries(tasks=() if whole else tasks)
        return [delivery for delivery in found if delivery.id in ids]
    finally:
        await store.close()


async def _clear(before: float) -> int:
    from kugetsu.storage import SqlStore  # noqa: PLC0415 - heavy; `--help` needs none

    store = await SqlStore.open(state_home(os.environ), create=False)
    try:
        return await store.clear_deliveries(before)
    finally:
        await store.close()


def _print(deliveries: Sequence[Delivery], *, as_json: bool) -> None:
    if as_json:
        write_json({"deliveries": deliveries})
    else:
        print_deliveries(deliveries, sys.stdout, now=time.time())


def _say(sentence: str) -> None:
    click.echo(f"kugetsu: {sentence}", err=True)


def _reply_to(pairs: Sequence[str]) -> dict[str, str]:
    found = dict(pair.partition("=")[::2] for pair in pairs)
    if "" in found or not all("=" in pair for pair in pairs):
        raise UsageError("--reply-to takes NAME=VALUE", fix="write for example --reply-to chat_id=42")
    return found
