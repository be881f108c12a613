"""`kugetsu mcp`: tasks for programs that speak the Model Context Protocol over standard input and output."""

import asyncio
import ipaddress
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from kugetsu.cli.options import config_option, load, server_option
from kugetsu.cli.service import named_server, open_service
from kugetsu.gateway.mcp.calls import Call
from kugetsu.gateway.mcp.waiting import Places, Progress
from kugetsu.gateway.repositories import named_elsewhere, named_here, repository_around

if TYPE_CHECKING:
    from kugetsu.gateway.mcp.server import Context


@click.command("mcp")
@click.option(
    "--repo",
    default="",
    metavar="PATH_OR_URL",
    help="Where tasks work that name no repository. Default: the checkout that the current directory is in.",
)
@server_option
@config_option
def mcp_command(repo: str, server: str, config_file: Path | None) -> None:
    """Offer tasks to a program that speaks MCP (Claude Code, Cursor, Zed, ...) on stdin and stdout.

    Such a program starts this command by itself. It uses `kugetsu serve` when that runs, and else the queue as it is.
    """
    asyncio.run(_serve(_Doors(repo, named_server(server), config_file)))


class _Doors:
    """Opens the tasks anew for each call, so that a server may come and go meanwhile."""

    def __init__(self, repo: str, server: str, config_file: Path | None) -> None:
        self._server = server
        self._config_file = config_file
        default = named_here(repo, repository_around(Path.cwd()))
        self._places = Places()
        self._local = default if Path(default or "/nowhere").is_dir() else None
        self._named: Callable[[str], str] = partial(named_here, default=default)
        if not _is_here(server):
            self._named = lambda name: named_elsewhere(name or repo)

    @asynccontextmanager
    async def open(self, _context: "Context", progress: Progress, writing: bool) -> AsyncIterator[Call]:
        """Open the tasks.

        Raises:
            KugetsuError: they cannot be reached; see `service.reach`.
        """
        settings = load(self._local, config_file=self._config_file).settings
        async with open_service(self._server, settings=settings, writing=writing) as service:
            yield Call(service=service, repository=self._named, progress=progress, places=self._places)


def _is_here(server: str) -> bool:
    """Whether a server that was named, if any, is on this machine: then it knows the same directories."""
    host = urlsplit(server).hostname or "localhost"
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


async def _serve(doors: _Doors) -> None:
    """Serve until the client is gone, or a signal ends us."""
    from kugetsu.gateway.mcp.server import build_server  # noqa: PLC0415 - the SDK is heavy; --help needs none
    from kugetsu.gateway.mcp.stdio import serve_stdio  # noqa: PLC0415 - as above

    loop, serving = asyncio.get_running_loop(), asyncio.current_task()
    assert serving  # noqa: S101 - a coroutine that runs is in a task
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, serving.cancel)
    with suppress(asyncio.CancelledError):
        await serve_stdio(build_server(doors.open))
