"""The listening half of the gateway: HTTP, and the streams, webhooks and MCP that are mounted in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kugetsu.app.house import House
from kugetsu.app.service import LocalTasks
from kugetsu.gateway.http.parts import Parts, Say
from kugetsu.gateway.http.server import HttpServer, serving
from kugetsu.gateway.http.streaming import EventStreams
from kugetsu.gateway.mcp.http import McpMount
from kugetsu.gateway.webhooks import Webhooks


@asynccontextmanager
async def listening(house: House, say: Say, secret: str) -> AsyncIterator[HttpServer]:
    """Listen while the block runs.

    Args:
        house: open; its worker works on what comes in.
        say: the log.
        secret: the token of this start.

    Raises:
        ConfigError: it cannot listen there, or must not.
        RecordError: the store cannot be used.
    """
    service, settings = LocalTasks(house), house.settings
    streams = EventStreams(house.store, settings.http)
    house.worker.listeners.append(streams.wake)
    webhooks = Webhooks(service, settings, house.environ, house.clock, say)
    for problem in webhooks.problems():
        say("webhooks", problem, level="warning")
    mount = McpMount(service, settings)
    parts = Parts(
        service=service,
        settings=settings,
        keyring=house.store,
        clock=house.clock,
        say=say,
        ready=house.store.counts,
        streams=streams,
        secret=secret,
        webhooks=webhooks.take,
        mcp=mount,
    )
    async with mount.running(), streams.running(), serving(parts) as server:
        try:
            yield server
        finally:
            mount.close()
