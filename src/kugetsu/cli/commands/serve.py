"""`kugetsu serve`."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from kugetsu.app.house import House
from kugetsu.app.maintenance import Maintenance
from kugetsu.app.records import SERVING
from kugetsu.app.tuning import tune_process
from kugetsu.cli.exits import Exit
from kugetsu.cli.options import config_option, load, notify
from kugetsu.cli.stopping import Stop, end_at_once, heeding_signals
from kugetsu.cli.views.amounts import counted
from kugetsu.config import LogFormat, Settings, prepare_home, state_home
from kugetsu.engine import SoleDaemon, sole_daemon
from kugetsu.logs import Log, known_secrets, open_log
from kugetsu.processes import protect_self
from kugetsu.protocols import Claim
from kugetsu.shadows import Shadow

if TYPE_CHECKING:
    from kugetsu.gateway.http.server import HttpServer

_MOST_NAMED: Final = 10

_REPORT_SECONDS: Final = 60.0
"""How often the log says how things stand, while tasks run."""

_NEWS_SECONDS: Final = 5.0
"""How long a program that ends by itself waits for news that do not get through at once."""


@click.command("serve")
@click.option("--slots", type=click.IntRange(1), metavar="N", help="Work on so many tasks at once. Default: as set.")
@click.option(
    "--until-idle", is_flag=True, help="End once nothing runs and nothing is pending. Listens only with --port."
)
@click.option("--host", metavar="ADDRESS", help="Listen on this address. Default: as set, else 127.0.0.1.")
@click.option(
    "--port", type=click.IntRange(0, 65_535), metavar="N", help="Listen on this port; 0: any free one. Default: as set."
)
@click.option("--no-http", is_flag=True, help="Do not listen at all.")
@click.option("--log-format", type=click.Choice(["readable", "json"]), help="Of the lines on stderr. Default: as set.")
@config_option
def serve_command(
    slots: int | None,
    host: str | None,
    port: int | None,
    log_format: LogFormat | None,
    config_file: Path | None,
    *,
    until_idle: bool,
    no_http: bool,
) -> int:
    """Work on the queue, many tasks at once, until a signal comes. One line on stderr for each change of a task.

    Tasks start while the machine has room: slots, memory, disk. What their agents run waits for one of a few slots of
    its own. Only one `serve` works on a state directory.

    It listens on loopback: HTTP under /v1 (see /openapi.json), MCP at /mcp, webhooks at /webhooks/NAME; and it tells those
    who are to hear what becomes of tasks. On any other address it wants a token first: `kugetsu token add`.

    SIGTERM and Ctrl-C stop gracefully: agents end their turn, what takes longer is interrupted, and all go on at the next
    start. A second signal stops at once; so does a crash, and nothing is lost then either. Keys of models and all settings
    are those of this process. The log is also kept in the state directory, in logs/kugetsu.log.
    """
    flags = {"queue.slots": slots, "log.format": log_format, "http.host": host, "http.port": port}
    loaded = load(config_file=config_file, flags=flags)
    notify(loaded.notices)
    settings = loaded.settings
    home = prepare_home(state_home(os.environ))
    secrets = known_secrets(settings, os.environ)
    with (
        sole_daemon(home, SERVING, time.time()) as daemon,
        open_log(settings.log, home, stream=sys.stderr, secrets=secrets) as log,
    ):
        http = settings.http.enabled and not no_http and (port is not None or not until_idle)
        asyncio.run(_serve(settings, daemon, log, http=http, until_idle=until_idle))
    return Exit.COMPLETED


async def _serve(settings: Settings, daemon: SoleDaemon, log: Log, *, http: bool, until_idle: bool) -> None:
    from kugetsu.gateway.opening import open_gateway  # noqa: PLC0415 - slow to import, and `--help` needs none of it

    tune_process()
    protected = protect_self()

    def on_change(sentence: str) -> None:
        log.say("machine", sentence, level="warning")

    home = state_home(os.environ)
    async with House(settings, home, os.environ, name=SERVING, on_trouble=log.trouble, on_change=on_change) as house:
        house.verify()
        news = _NEWS_SECONDS if until_idle else 0.0
        async with open_gateway(house, log.say, log.trouble, daemon, http=http, news_seconds=news) as listening:
            await _Server(house, log, listening).serve(until_idle=until_idle, protected=protected)


class _Server:
    """A worker that takes tasks from the queue, and says what becomes of them."""

    def __init__(self, house: House, log: Log, listening: "HttpServer | None") -> None:
        self._house = house
        self._log = log
        self._listening = listening
        self._stop = Stop(house)
        self._full = ""
        self._stopping = False

    async def serve(self, *, until_idle: bool, protected: bool) -> None:
        house, log = self._house, self._log
        limits, confinement = house.capacity.limits, house.capacity.confinement
        log.say(
            "serving",
            f"working on up to {limits.task_slots} tasks and {limits.command_slots} of their commands at once in {house.home}",
            task_slots=limits.task_slots,
            command_slots=limits.command_slots,
            commands_held_by=confinement.kind,
            pid=os.getpid(),
        )
        if confinement.why:
            log.say("confinement", f"limits of commands: {confinement.kind}; {confinement.why}", level="warning")
        if not protected:
            log.say("unprotected", "when memory is short, the kernel may end this program like any other")
        try:
            async with Maintenance(house, log.say, log.trouble).running(), asyncio.TaskGroup() as group:
                reporting = group.create_task(self._report())
                with heeding_signals(self._begin_to_stop, self._leave):
                    await house.worker.serve(
                        self._shadow_of, room=self._room, limits=house.limits, until_idle=until_idle
                    )
                reporting.cancel()
        finally:
            self._stop.end()
        log.say("stopped", "stopped" if self._stopping else "the queue is empty")

    def _room(self, running: int) -> int:
        """How many tasks more may start now; says once why there are none."""
        gate = self._house.capacity.gate
        room = gate.tasks_now(running)
        full = "" if room or running >= gate.limits.task_slots else gate.why_not()
        if full and not self._full:
            self._log.say("no_room", f"no task starts at present: {full}", level="warning")
        self._full = full
        return room

    def _shadow_of(self, claim: Claim) -> Shadow:
        shadow = self._house.shadow_of(claim)
        logger = self._log.task(claim.record.id, claim.record.runs)
        logger.enter()
        shadow.feed.attach(logger.take)
        return shadow

    async def _report(self) -> None:
        """Say now and then how things stand, while there is anything to say."""
        while True:
            await self._house.clock.sleep(_REPORT_SECONDS)
            if not self._house.worker.shadows.spawned:
                continue
            now = self._house.capacity.gate.status()
            doing = [info.doing for info in self._house.worker.shadows.list()]
            free = now.machine.memory_available
            self._log.say(
                "status",
                f"{counted(len(doing), 'task')}, {doing.count('thinking')} thinking; {counted(now.commands, 'command')} at work, "
                f"{now.waiting} waiting"
                + (f"; {free // 2**20:,} MB of memory are available" if free is not None else ""),
                tasks=len(doing),
                thinking=doing.count("thinking"),
                commands=now.commands,
                commands_waiting=now.waiting,
                strain=now.strain,
                memory_available=free,
            )

    @property
    def _running(self) -> list[str]:
        return [info.task for info in self._house.worker.shadows.list()]

    def _begin_to_stop(self, number: signal.Signals) -> None:
        self._stopping = True
        if self._listening:
            self._listening.begin_to_stop()
        self._stop.begin()
        running, grace = self._running, self._house.settings.queue.grace_seconds
        names = ", ".join(running[:_MOST_NAMED]) + (
            f" and {more} more" if (more := len(running) - _MOST_NAMED) > 0 else ""
        )
        rest = f"; still running: {names}; interrupted in {grace:g} seconds, or by a second signal" if running else ""
        self._log.say("stopping", f"stopping ({number.name}){rest}", running=len(running))

    def _leave(self, _number: signal.Signals) -> None:
        self._log.close()
        end_at_once(self._running, Exit.WAITING)
