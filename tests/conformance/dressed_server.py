"""A real server of Kugetsu under the names of the conformance suite.

The suite is made for SDKs: it calls tools and reads resources that its authors prescribe. Those of ours that do the same
kind of thing are offered under these names, by a proxy that changes nothing but names and arguments in requests.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import aiohttp
import msgspec
from aiohttp import web

_KEPT: Final = ("accept", "content-type", "host", "mcp-protocol-version", "mcp-session-id", "mcp-method", "origin")

Names = Mapping[str, tuple[str, dict[str, Any]]]
"""Tools by the suite's name: ours, and what it is told."""


@asynccontextmanager
async def dressed(url: str, tools: Names, resources: Mapping[str, str]) -> AsyncIterator[str]:
    """Offer the server at `url` under other names; the address where it is offered."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as client:

        async def pass_on(request: web.Request) -> web.StreamResponse:
            headers = {name: request.headers[name] for name in _KEPT if name in request.headers}
            body = _renamed(await request.read(), tools, resources)
            async with client.request(request.method, url, headers=headers, data=body) as answer:
                kind = {"content-type": answer.headers.get("content-type", "text/plain")}
                response = web.StreamResponse(status=answer.status, headers=kind)
                with suppress(ConnectionError):  # some scenarios leave in the middle
                    await response.prepare(request)
                    async for piece in answer.content.iter_any():
                        await response.write(piece)
                    await response.write_eof()
                return response

        application = web.Application()
        application.router.add_route("*", "/mcp", pass_on)
        runner = web.AppRunner(application, shutdown_timeout=1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/mcp"
        finally:
            await runner.cleanup()


def _renamed(body: bytes, tools: Names, resources: Mapping[str, str]) -> bytes:
    try:
        message = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return body
    params = message.get("params") if isinstance(message, dict) else None
    if not isinstance(params, dict):
        return body
    if (tool := tools.get(params.get("name", ""))) and message["method"] == "tools/call":
        params["name"], params["arguments"] = tool
    if message["method"] == "resources/read":
        params["uri"] = resources.get(params.get("uri", ""), params.get("uri"))
    return msgspec.json.encode(message)
