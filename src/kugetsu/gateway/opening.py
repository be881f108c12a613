"""The gateway of a daemon: work comes in by HTTP, and news go out."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from kugetsu.app.house import House
from kugetsu.engine import SoleDaemon
from kugetsu.gateway.http.tokens import passing_token
from kugetsu.gateway.notifications import Dispatcher

if TYPE_CHECKING:
    from kugetsu.gateway.http.parts import Say
    from kugetsu.gateway.http.server import HttpServer


@asynccontextmanager
async def open_gateway(
    house: House,
    say: "Say",
    trouble: Callable[[str], None],
    daemon: SoleDaemon,
    *,
    http: bool,
    news_seconds: float = 0.0,
) -> "AsyncIterator[HttpServer | None]":
    """Let work come in and news go out while the block runs.

    Args:
        house: open; its worker works on what comes in.
        say: the log.
        trouble: told what goes wrong, in one sentence.
        daemon: told where the server listens, so that programs on this machine find it.
        http: whether it listens at all.
        news_seconds: how long the end of the block waits for news that do not get through at once. What does not is left to
            whoever comes next.

    Returns:
        The server; None when it does not listen.

    Raises:
        ConfigError: it cannot listen there, or must not.
        RecordError: the store cannot be used.
    """
    dispatcher = Dispatcher(house.store, house.settings, house.environ, house.clock, trouble)
    for problem in dispatcher.problems():
        say("notifications", problem, level="warning")
    house.worker.listeners.append(dispatcher.wake)
    async with dispatcher.running():
        if http:
            from kugetsu.gateway.listening import listening  # noqa: PLC0415 - a second of imports that not all need

            secret = passing_token()
            async with listening(house, say, secret) as server:
                daemon.announce(server.url, secret)
                say("listening", f"listening on {server.url}", url=server.url)
                yield server
        else:
            yield None
        if news_seconds:
            await dispatcher.drain(news_seconds)
