"""The user's own listener of events: beside the loop, never in its way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from kugetsu.agent import OnEvent
from kugetsu.concurrency import first_error
from kugetsu.events import Feed, Noted, Subscription

PATIENCE_SECONDS: Final = 5.0
"""How long a listener may take, once everything has happened, to hear the rest."""


@asynccontextmanager
async def listening(feed: Feed, on_event: OnEvent | None) -> AsyncIterator[None]:
    """Hand the events of a feed to a listener until the feed is closed and the listener has caught up."""
    if on_event is None:
        yield
        return
    with first_error():
        async with asyncio.TaskGroup() as group:
            listener = group.create_task(_listen(feed, feed.subscribe(), on_event))
            try:
                yield
            finally:
                await asyncio.wait({listener}, timeout=PATIENCE_SECONDS)
                listener.cancel()


async def _listen(feed: Feed, events: Subscription, on_event: OnEvent) -> None:
    failed = False
    async for event in events:
        try:
            await on_event(event)
        except Exception as error:  # noqa: BLE001 - a listener must not break the run
            if not failed and not feed.closed:
                feed.publish(Noted(message=f"on_event failed: {error!r}"))
            failed = True
