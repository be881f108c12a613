"""Put N tasks into the queue of a state directory: `python -m bench.peers.submit SETTINGS REPO N`. Not measured."""

import asyncio
import os
import sys
from pathlib import Path

from bench.peers.stage import PROMPT

from kugetsu.app import desk
from kugetsu.app.house import House
from kugetsu.config import load_settings, state_home


async def submit(settings_file: Path, repo: str, number: int) -> None:
    """Submit them one by one, as users do."""
    settings = load_settings(environ=os.environ, config_file=settings_file).settings
    async with House(settings, state_home(os.environ), os.environ) as house:
        for _ in range(number):
            await desk.submit(house, house.task(repo, PROMPT, queued=True))


if __name__ == "__main__":
    asyncio.run(submit(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
