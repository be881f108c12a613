"""The tasks that a command is about: those of a server, or of this machine when no server is there. One service for both."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit

import msgspec

from kugetsu.config import Settings, state_home
from kugetsu.config.daemon import running_daemon
from kugetsu.errors import KugetsuError, RecordError
from kugetsu.protocols import TaskService
from kugetsu.tasks import redacted

PATIENCE_SECONDS: Final = 2.0
"""How long the server of this machine may take to say that it is there. After that its records are used."""


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """Who answers.

    Attributes:
        service: what it does for users.
        url: of the server; empty for the records of this machine.
        ours: whether it works on the state directory of this user.
    """

    service: TaskService
    url: str = ""
    ours: bool = True


def named_server(server: str = "") -> str:
    """The server that the user names, by a flag or by KUGETSU_SERVER; empty for none."""
    return server or os.environ.get("KUGETSU_SERVER", "")


@asynccontextmanager
async def open_service(
    server: str = "", *, settings: Settings | None = None, writing: bool = False
) -> AsyncIterator[TaskService]:
    """Open the tasks of a server or of this machine; see `reach`."""
    async with reach(server, settings=settings, writing=writing) as reached:
        yield reached.service


@asynccontextmanager
async def reach(server: str = "", *, settings: Settings | None = None, writing: bool = False) -> AsyncIterator[Reached]:
    """Open the tasks of a server or of this machine. Errors of the block say whose they are, unless nobody else was asked.

    The server that the user names; else the one that works on this user's state directory; else what is kept there. A
    server of this machine that does not answer, because it hangs or just stops, is passed over.

    Args:
        server: URL of a server; empty for the one that KUGETSU_SERVER names, if any.
        settings: those of this user; they count where no server does.
        writing: whether something is to be changed. To look at tasks, nothing is made and nothing need be writable.

    Raises:
        ServerError: the server that was named does not answer.
        ConfigError: the state directory cannot be used.
        RecordError: the store cannot be used.
    """
    if named := named_server(server):
        async with _client(named) as reached:
            yield reached
        return
    home = state_home(os.environ)
    url = running_server(home)
    if url and await _answers(url):
        async with _own_client(home, url) as reached:
            yield reached
        return
    with _naming(f"from the records in {home}: the server at {url} does not answer" if url else ""):
        async with _local(home, settings or Settings(), writing=writing) as service:
            yield Reached(service=service)


def running_server(home: Path) -> str:
    """URL of the server that works on a state directory; empty when there is none that can be asked."""
    with suppress(RecordError):  # the records say what is wrong with the state directory
        if holder := running_daemon(home):
            return holder.url
    return ""


@asynccontextmanager
async def _client(url: str) -> AsyncIterator[Reached]:
    from kugetsu.client import AsyncClient  # noqa: PLC0415 - needed only where a server is

    with _naming(f"server {redacted(url)}", url):
        async with AsyncClient(url, os.environ.get("KUGETSU_TOKEN", "")) as client:
            yield Reached(service=client, url=url, ours=False)


@asynccontextmanager
async def _own_client(home: Path, url: str) -> AsyncIterator[Reached]:
    from kugetsu.client import AsyncClient  # noqa: PLC0415 - needed only where a server is

    with _naming(f"server {url}", url):
        async with AsyncClient.local(home, patience=PATIENCE_SECONDS) as client:
            yield Reached(service=client, url=url)


@asynccontextmanager
async def _local(home: Path, settings: Settings, *, writing: bool) -> AsyncIterator[TaskService]:
    from kugetsu.app.service import open_local, open_records  # noqa: PLC0415 - heavy; needed only without a server

    if writing:
        async with open_local(settings, home, os.environ) as tasks:
            yield tasks
    else:
        async with open_records(home, os.environ) as records:
            yield cast("TaskService", records)  # the half of it that only reads


async def _answers(url: str) -> bool:
    """Whether the server of this machine is there, and takes what it is asked for."""
    place = urlsplit(url)
    with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            reader, writer = await asyncio.open_connection(place.hostname, place.port)
            try:
                writer.write(f"GET /readyz HTTP/1.1\r\nHost: {place.netloc}\r\nConnection: close\r\n\r\n".encode())
                return b" 200 " in await reader.readuntil(b"\r\n")
            finally:
                writer.close()
    return False


@contextmanager
def _naming(where: str, url: str = "") -> Iterator[None]:
    """Let errors of the block say where they come from, unless they name the server themselves."""
    try:
        yield
    except KugetsuError as error:
        if where and not (url and url in error.message):
            error.message = f"{error.message} ({where})"
        raise
