"""A process of its own that sends news, until it is killed: `news_child.py HOME URL`."""

import asyncio
import sys
from pathlib import Path

from gateway.notifications.news_lab import settings, webhook
from kugetsu.gateway.notifications import Dispatcher
from kugetsu.protocols import SystemClock
from kugetsu.storage import SqlStore


async def main(home: Path, url: str) -> None:
    clock = SystemClock()
    store = await SqlStore.open(home, clock)
    async with Dispatcher(store, settings(ops=webhook(url, all=True)), {"HOME": str(home)}, clock).running():
        await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
