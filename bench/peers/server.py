"""The scripted server, in a process of its own, which also counts conversations and can hold all of them at one place.

`python -m bench.peers.server --script FILE --gate N` prints its port. From then on:

- every request is answered as by `python -m kugetsu.testing.server --order conversation`;
- the fourth call of every conversation waits until `POST /bench/open`, so that there is a moment at which all agents are
  in the middle of their jobs. After that nobody waits;
- `GET /bench/state` tells what was seen. Requests that offer no tools (titles of conversations) are answered, not counted.
"""

import argparse
import asyncio
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web

from kugetsu.rehearsal import Script, load_script
from kugetsu.testing.server import ScriptedServer

GATE: Final = 3
"""Replies that a conversation has when it waits."""


class _Message(msgspec.Struct):
    role: str
    content: Any = None


class _Request(msgspec.Struct):
    messages: list[_Message]
    tools: list[msgspec.Raw] = []


class State(msgspec.Struct):
    """What the server saw.

    Attributes:
        begun: conversations of which the first call came.
        waiting: conversations that wait at the gate.
        finished: conversations that got their last reply.
        lost: those of them in which the output of a command had not come back.
        calls: requests that were counted.
        first: monotonic time of the first one; 0 for none.
        last_begun: monotonic time of the latest first call of a conversation; 0 for none.
        full: monotonic time at which everybody waited at the gate; 0 for never.
        opened: monotonic time at which the gate was opened; 0 for not yet.
    """

    begun: int = 0
    waiting: int = 0
    finished: int = 0
    lost: int = 0
    calls: int = 0
    first: float = 0.0
    last_begun: float = 0.0
    full: float = 0.0
    opened: float = 0.0


class GateServer(ScriptedServer):
    """Serves a script to so many agents, counts, and holds them."""

    def __init__(self, script: Script, agents: int, marker: str) -> None:
        super().__init__(script, order="conversation", check=False, record=False)
        self.state = State()
        self._turns = len(script.turns)
        self._agents = agents
        self._marker = marker
        self._gate = asyncio.Event()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/bench/state":
            return web.Response(body=msgspec.json.encode(self.state), content_type="application/json")
        if request.path == "/bench/open":
            self.state.opened = self.state.opened or time.monotonic()
            self._gate.set()
            return web.Response()
        if request.method != "POST":
            return await super()._handle(request)
        asked = msgspec.json.decode(await request.read(), type=_Request)
        if not asked.tools:
            return await super()._handle(request)
        place = sum(message.role == "assistant" for message in asked.messages)
        await self._count(place)
        response = await super()._handle(request)
        if place == self._turns - 1:
            self.state.finished += 1
            self.state.lost += self._outputs(asked) < self._turns - 1
        return response

    async def _count(self, place: int) -> None:
        state, now = self.state, time.monotonic()
        state.calls += 1
        state.first = state.first or now
        if place == 0:
            state.begun += 1
            state.last_begun = now
        if place == GATE and not self._gate.is_set():
            state.waiting += 1
            if state.waiting == self._agents:
                state.full = now
            try:
                await self._gate.wait()
            finally:
                state.waiting -= 1

    def _outputs(self, asked: _Request) -> int:
        """How many results of tools hold what the command prints; one that repeats the command is a complaint about it."""
        results = [str(message.content) for message in asked.messages if message.role == "tool"]
        return sum(self._marker in result and f"echo {self._marker}" not in result for result in results)


async def _serve(script: Script, agents: int, marker: str) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with GateServer(script, agents, marker) as server:
        sys.stdout.write(f'{{"port": {server.port}}}\n')
        sys.stdout.flush()
        await ended.wait()


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers.server")
    parser.add_argument("--script", type=Path, required=True, help="script in JSON")
    parser.add_argument("--gate", type=int, required=True, help="how many agents there will be")
    parser.add_argument("--marker", required=True, help="what the commands print")
    arguments = parser.parse_args()
    asyncio.run(_serve(load_script(arguments.script), arguments.gate, arguments.marker))


if __name__ == "__main__":
    main()
