"""`kugetsu serve`."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import click

from kugetsu.app.desk import SERVING
from kugetsu.app.house import House
from kugetsu.app.tuning import tune_process
from kugetsu.cli.exits import Exit
from kugetsu.cli.foreground import say
from kugetsu.cli.options import config_option, load, notify
from kugetsu.cli.stopping import Stop, end_at_once, heeding_signals
from kugetsu.cli.views import View, one_line, open_view
from kugetsu.config import Settings, state_home
from kugetsu.errors import KugetsuError
from kugetsu.protocols import Claim
from kugetsu.shadows import Shadow


@click.command("serve")
@click.option("--slots", type=click.IntRange(1), metavar="N", help="Work on so many tasks at once. Default: as set.")
@click.option("--until-idle", is_flag=True, help="End once nothing runs and nothing is pending.")
@config_option
def serve_command(slots: int | None, config_file: Path | None, *, until_idle: bool) -> int:
    """Work on the queue, many tasks at once, until a signal comes. One line on stderr for each change of a task.

    SIGTERM and Ctrl-C stop gracefully: agents end their turn, what takes longer is interrupted, and all go on at the next
    start. A second signal stops at once; so does a crash, and nothing is lost then either. Keys of models and all settings
    are those of this process.
    """
    loaded = load(config_file=config_file)
    notify(loaded.notices)
    asyncio.run(_serve(loaded.settings, slots or loaded.settings.queue.slots, until_idle=until_idle))
    return Exit.COMPLETED


async def _serve(settings: Settings, slots: int, *, until_idle: bool) -> None:
    tune_process()
    async with House(settings, state_home(os.environ), os.environ, name=SERVING) as house:
        with open_view("changes", sys.stderr) as shown:
            await _Server(house, shown).serve(slots, until_idle=until_idle)


class _Server:
    """A worker that takes tasks from the queue, and says what becomes of them."""

    def __init__(self, house: House, view: View) -> None:
        self._house = house
        self._view = view
        self._shadows: list[Shadow] = []
        self._stop = Stop(house)

    async def serve(self, slots: int, *, until_idle: bool) -> None:
        say(f"working on up to {slots} tasks at once in {self._house.home}")
        try:
            with heeding_signals(self._begin_to_stop, self._leave):
                await self._house.worker.serve(
                    self._shadow_of, slots=slots, limits=self._house.limits, until_idle=until_idle
                )
        finally:
            self._stop.end()

    def _shadow_of(self, claim: Claim) -> Shadow:
        try:
            shadow = self._house.shadow_of(claim)
        except KugetsuError as error:
            say(f"task {one_line(claim.record.id)} cannot be run: {one_line(str(error))}")
            raise
        shadow.feed.attach(self._view.take)
        self._shadows = [*self._running, shadow]
        return shadow

    @property
    def _running(self) -> list[Shadow]:
        return [shadow for shadow in self._shadows if not shadow.feed.closed]

    def _begin_to_stop(self, number: signal.Signals) -> None:
        self._stop.begin()
        names = ", ".join(shadow.task.id for shadow in self._running) or "nothing"
        grace = self._house.settings.queue.grace_seconds
        say(
            f"stopping ({number.name}); still running: {names}; interrupted in {grace:g} seconds, or by a second signal"
        )

    def _leave(self, _number: signal.Signals) -> None:
        end_at_once([shadow.task.id for shadow in self._running], Exit.WAITING)
