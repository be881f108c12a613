"""A scripted server that speaks like OpenAI and like Anthropic, over real HTTP, and goes wrong on demand.

In a test::

    async with ScriptedServer(script, faults={0: Fault("status", 429, {"retry-after": "1"})}) as server:
        settings = Settings(providers={"local": ProviderSettings(base_url=server.base_url)})

In a process of its own, for measurements: `python -m kugetsu.testing.server --script FILE --order conversation` prints
one line of JSON with its port and serves until SIGTERM.
"""

import argparse
import asyncio
import signal
import socket
import struct
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from aiohttp import web

from kugetsu.config import Wire
from kugetsu.rehearsal import Script, load_script
from kugetsu.testing.faults import OVERFLOW, Fault, error_body
from kugetsu.testing.playbook import Answer, Order, Playbook
from kugetsu.testing.request_rules import problems
from kugetsu.testing.streams import event, reply_events

_WIRES: Final[dict[str, Wire]] = {"/v1/chat/completions": "openai", "/v1/messages": "anthropic"}
_REFUSALS: Final[dict[Wire, str]] = {"openai": "content_filter", "anthropic": "refusal"}
_BODY_LIMIT: Final = 256 * 1024 * 1024
_BACKLOG: Final = 4096
_RESET: Final = struct.pack("ii", 1, 0)
"""Linger on, for no time: closing sends a reset."""


class RecordedRequest(msgspec.Struct, frozen=True):
    """What a client sent.

    Attributes:
        headers: with names in lower case.
        body: decoded.
    """

    wire: Wire
    headers: dict[str, str]
    body: dict[str, Any]


class ScriptedServer:
    """Serves a script. An async context manager.

    Args:
        script: what is said; an entry with `fail` goes wrong in the way that a client takes for that failure.
        order: `sequence` serves entries one by one. `conversation` serves the entry that follows from the conversation
            alone, so that hundreds of agents can play the same script; a failing entry fails one request and the same
            request sent again gets the next. It counts turns that were taken out by the number of the last one, so a
            conversation that was rewound before that is taken to be further on than it is. Requests for a summary get the
            script's summaries one by one in both.
        faults: by number of the request, from 0; the lost reply comes with the next request.
        check: refuse requests that a provider would refuse, with 400 and the reason.
        record: keep requests.
        at_once: so many requests may be under way; any more is answered 429. 0 for no limit.
        port: 0 for any that is free.

    Attributes:
        requests: what clients sent.
        turned_away: how many requests came when too many were under way.
        port: where it listens.
    """

    def __init__(
        self,
        script: Script,
        *,
        order: Order = "sequence",
        faults: Mapping[int, Fault] | None = None,
        check: bool = True,
        record: bool = True,
        at_once: int = 0,
        port: int = 0,
    ) -> None:
        self.requests: list[RecordedRequest] = []
        self.turned_away = 0
        self.port = port
        self._at_once = at_once
        self._under_way = 0
        self._playbook = Playbook(script, order, faults or {})
        self._check = check
        self._record = record
        self._runner: web.ServerRunner | None = None

    async def __aenter__(self) -> Self:
        handler = web.Server(self._handle, request_factory=_request, handler_cancellation=True, access_log=None)
        runner = self._runner = web.ServerRunner(handler, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port, backlog=_BACKLOG).start()
        self.port = runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def root_url(self) -> str:
        """The server's address, which clients of Anthropic take for their base URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """The base URL of both wires."""
        return f"{self.root_url}/v1"

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        wire = _WIRES.get(request.path)
        if wire is None or request.method != "POST":
            return self._other(request)
        if self._at_once and self._under_way >= self._at_once:
            await request.read()
            self.turned_away += 1
            return _json(429, error_body(wire, 429))
        self._under_way += 1
        try:
            return await self._answer(wire, request)
        finally:
            self._under_way -= 1

    async def _answer(self, wire: Wire, request: web.BaseRequest) -> web.StreamResponse:
        data = await request.read()
        if refusal := self._refusal(wire, request, data):
            return refusal
        answer = self._playbook.next(wire, data)
        if answer.turn.delay:
            await asyncio.sleep(answer.turn.delay)
        if answer.fault is None:
            return await _stream(request, self._playbook.events(wire, answer))
        return await self._fail(request, wire, answer.fault, answer)

    def _other(self, request: web.BaseRequest) -> web.Response:
        if request.path == "/v1/models":
            model = {"id": "scripted", "object": "model", "created": 0, "owned_by": "kugetsu"}
            return _json(200, msgspec.json.encode({"object": "list", "data": [model]}))
        return _json(404, error_body("openai", 404, f"no such page: {request.path}"))

    def _refusal(self, wire: Wire, request: web.BaseRequest, data: bytes) -> web.Response | None:
        """Keep and check a request; the answer when it is not valid."""
        if not (self._record or self._check):
            return None
        try:
            body = msgspec.json.decode(data, type=dict[str, Any])
            found = problems(wire, body) if self._check else []
        except (LookupError, TypeError, AttributeError, msgspec.MsgspecError) as error:
            return _json(400, error_body(wire, 400, f"not of the form of a request: {error!r}"))
        if self._record:
            headers = {name.lower(): value for name, value in request.headers.items()}
            self.requests.append(RecordedRequest(wire, headers, body))
        return _json(400, error_body(wire, 400, "; ".join(found))) if found else None

    async def _fail(self, request: web.BaseRequest, wire: Wire, fault: Fault, answer: Answer) -> web.StreamResponse:
        events = self._playbook.events(wire, answer)
        if fault.kind == "status":
            status = 400 if fault.status == OVERFLOW and not fault.body else fault.status
            return _json(status, fault.body or error_body(wire, fault.status), fault.headers)
        if fault.kind == "drip":
            return await _stream(request, (bytes([byte]) for byte in b"".join(events)))
        if fault.kind == "refused":
            return await _stream(request, reply_events(wire, answer.turn, answer.place, stop=_REFUSALS[wire]))
        begun = events[: len(events) // 2 if fault.after is None else fault.after]
        if extra := _broken_event(wire, fault):
            return await _stream(request, [*begun, extra, *events[len(begun) :]])
        if fault.kind == "end":
            return await _stream(request, begun)
        return await _break(request, begun, fault)


def _request(*parts: Any) -> web.BaseRequest:  # noqa: ANN401 - handed on as they come
    """A request that may be large: conversations with pictures are."""
    message, payload, protocol, writer, task = parts
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=_BODY_LIMIT)


async def _stream(request: web.BaseRequest, pieces: Iterable[bytes]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)
    for piece in pieces:
        await response.write(piece)
    await response.write_eof()
    return response


async def _break(request: web.BaseRequest, begun: Sequence[bytes], fault: Fault) -> web.StreamResponse:
    """Stop in mid-reply: with a reset, or with silence until the client gives up."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for piece in begun:
        await response.write(piece)
    if fault.kind == "stall":
        await asyncio.Event().wait()
    transport = request.transport
    if transport is not None:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()
    return response


def _broken_event(wire: Wire, fault: Fault) -> bytes:
    """The event that a fault puts into a reply; empty for faults that put none."""
    match fault.kind:
        case "garbage":
            return event(b'{"choices": [{"delta": {"content": "nev')
        case "unknown_event":
            return event({"type": "mystery", "object": "mystery"}, "mystery")
        case "stream_error":
            return event(fault.body or error_body(wire, fault.status), "error" if wire == "anthropic" else "")
        case _:
            return b""


def _json(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


async def _serve(script: Script, port: int, order: Order) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with ScriptedServer(script, order=order, check=False, record=False, port=port) as server:
        sys.stdout.write(f'{{"port": {server.port}}}\n')
        sys.stdout.flush()
        await ended.wait()


def main() -> None:
    """Serve a script until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m kugetsu.testing.server", description="Serve a scripted model.")
    parser.add_argument("--script", type=Path, required=True, help="script in YAML or JSON")
    parser.add_argument("--port", type=int, default=0, help="0 for any that is free (default)")
    parser.add_argument("--order", choices=["sequence", "conversation"], default="sequence")
    arguments = parser.parse_args()
    asyncio.run(_serve(load_script(arguments.script), arguments.port, arguments.order))


if __name__ == "__main__":
    main()
