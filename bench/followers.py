"""Clients that follow events, many in one process. Run by `gateway.py`, so that whoever measures has a loop of its own.

Prints one line of JSON once all are connected. After a line on stdin it waits until every client has the event of the
number in it, and prints what each of them got.
"""

import argparse
import asyncio
import json
import re
import sys
from collections import deque
from http import HTTPStatus
from typing import Any, Final

import aiohttp
import msgspec

_EVENT: Final = re.compile(rb"^id: (\d+)\nevent: ", re.MULTILINE)
_SUBMITTED: Final = re.compile(rb'^event: task_moved\ndata: .*"state":"pending".*"task":"(\w+)"', re.MULTILINE)
_PATIENCE_SECONDS: Final = 20.0


class Followed(msgspec.Struct):
    """What one client got of one stream.

    Attributes:
        task: empty for all tasks.
        numbers: the ids of its events, in the order in which they came.
        ended: whether the server said that the task is over.
        broken: how the stream broke, empty when it did not.
    """

    task: str
    numbers: list[int] = []
    ended: bool = False
    broken: str = ""


class Followers:
    """All clients of this process."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.followed: list[Followed] = []
        self.connected = 0
        self._session = session
        self._url = url
        self._new: deque[bytes] = deque()
        self._known: set[bytes] = set()
        self._some = asyncio.Event()

    async def follow_all(self, *, scout: bool) -> None:
        """Follow all tasks; the scout tells the others of new ones."""
        await self._follow("/v1/events", Followed(""), scout=scout)

    async def follow_tasks(self) -> None:
        """Follow one task after the other, each to its end."""
        self.connected += 1
        while True:
            while not self._new:
                self._some.clear()
                await self._some.wait()
            task = self._new.popleft().decode()
            await self._follow(f"/v1/tasks/{task}/events", Followed(task), scout=False)

    async def _follow(self, path: str, followed: Followed, *, scout: bool) -> None:
        self.followed.append(followed)
        try:
            async with self._session.get(self._url + path) as response:
                if response.status != HTTPStatus.OK:
                    followed.broken = f"{response.status}: {await response.text()}"
                    return
                self.connected += not followed.task
                await self._read(response, followed, scout=scout)
        except aiohttp.ClientError as error:
            followed.broken = repr(error)

    async def _read(self, response: aiohttp.ClientResponse, followed: Followed, *, scout: bool) -> None:
        rest = b""
        async for chunk in response.content.iter_any():
            whole, middle, rest = (rest + chunk).rpartition(b"\n\n")
            text = whole + middle
            followed.numbers += map(int, _EVENT.findall(text))
            if scout:
                self._tell(_SUBMITTED.findall(text))
            followed.ended = followed.ended or b"event: end\n" in text

    def _tell(self, tasks: list[bytes]) -> None:
        fresh = [task for task in tasks if task not in self._known]
        self._known.update(fresh)
        self._new.extend(fresh)
        self._some.set()

    async def reach(self, number: int) -> None:
        """Wait until all who follow everything have come so far, or it takes too long."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            # Looked at now and then, so that it costs those who follow nothing.
            while any(  # noqa: ASYNC110 - see above
                each.numbers[-1:] < [number] for each in self.followed if not (each.task or each.broken)
            ):
                await asyncio.sleep(0.05)


async def follow(url: str, token: str, everything: int, single: int) -> list[dict[str, Any]]:
    """Follow until stdin says up to where."""
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        headers={"Authorization": f"Bearer {token}"},
        timeout=aiohttp.ClientTimeout(total=None),
    ) as session:
        followers = Followers(session, url)
        clients = [asyncio.ensure_future(followers.follow_all(scout=n == 0)) for n in range(everything)]
        clients += [asyncio.ensure_future(followers.follow_tasks()) for _ in range(single)]
        while followers.connected < everything + single:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
        sys.stdout.write('"connected"\n')
        sys.stdout.flush()
        last = int(await loop.run_in_executor(None, sys.stdin.readline))
        await followers.reach(last)
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        return [msgspec.to_builtins(followed) for followed in followers.followed]


def main() -> None:
    """Follow, and print what every client got."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--everything", type=int, required=True)
    parser.add_argument("--single", type=int, required=True)
    arguments = parser.parse_args()
    token = sys.stdin.readline().strip()
    found = asyncio.run(follow(arguments.url, token, arguments.everything, arguments.single))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
