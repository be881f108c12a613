"""Streamable HTTP: an ASGI application for the path `/mcp` of the server.

Nothing is kept between requests: each POST is answered on its own connection, and there are no sessions that could be
used up, stolen or lost in a restart. The SDK, and pydantic with it, is imported at the first request.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from kugetsu.config import Settings
from kugetsu.gateway.asgi import CALLER, AsgiScope, Caller, Receive, Send
from kugetsu.gateway.mcp.calls import Call
from kugetsu.gateway.mcp.waiting import Places, Progress
from kugetsu.gateway.repositories import named_elsewhere
from kugetsu.protocols import TaskService

if TYPE_CHECKING:  # costs 40 MB and half a second
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    from kugetsu.gateway.mcp.server import Context


class McpMount:
    """The application. It answers while the block of `running` lasts.

    It stands behind an application that knows callers by their tokens, refuses foreign `Host` and `Origin`, and puts who
    asks into the scope; a request without that is refused.

    Args:
        service: where tasks are.
        settings: the limits that callers without the scope `admin` cannot pass, and the size of bodies.
    """

    def __init__(self, service: TaskService, settings: Settings) -> None:
        self._service = service
        self._settings = settings
        self._group: asyncio.TaskGroup | None = None
        self._places = Places()
        self._stop = asyncio.Event()
        self._making = asyncio.Lock()
        self._manager: StreamableHTTPSessionManager | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answer requests; what is still being answered at the end of the block is cut off. Only once."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                yield
            finally:
                self._group = None
                self._stop.set()

    def close(self) -> None:
        """Let calls that wait for a task answer how it stands now. May be called twice."""
        self._places.close()

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if CALLER not in scope:
            await _refuse(send, 403, "forbidden", "nobody said who asks")
        elif scope["method"] != "POST":
            # No streams beside answers, and no sessions to be ended: the protocol has this answer for both.
            await _refuse(send, 405, "method", "MCP is spoken with POST here", ((b"allow", b"POST"),))
        elif manager := await self._ready():
            await manager.handle_request(scope, receive, send)
        else:
            await _refuse(send, 503, "stopping", "the server is stopping")

    async def _ready(self) -> "StreamableHTTPSessionManager | None":
        """What answers requests, made at the first; None when this is over."""
        async with self._making:
            if self._manager is None and self._group is not None:
                manager = await asyncio.to_thread(self._make)  # the engine goes on meanwhile
                if self._group is not None:
                    started = asyncio.Event()
                    self._group.create_task(self._run(manager, started))
                    await started.wait()
                    self._manager = manager
        return None if self._stop.is_set() else self._manager

    def _make(self) -> "StreamableHTTPSessionManager":
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager  # noqa: PLC0415 - see the module

        from kugetsu.gateway.mcp.server import build_server  # noqa: PLC0415 - see the module

        return StreamableHTTPSessionManager(
            build_server(self._open_call), stateless=True, max_request_body_size=self._settings.http.body_kb * 1024
        )

    async def _run(self, manager: "StreamableHTTPSessionManager", started: asyncio.Event) -> None:
        async with manager.run():
            started.set()
            await self._stop.wait()

    @asynccontextmanager
    async def _open_call(self, context: "Context", progress: Progress, _writing: bool) -> AsyncIterator[Call]:
        request: Any = context.request  # always there over HTTP
        caller: Caller = request.scope[CALLER]
        yield Call(
            service=self._service,
            scopes=caller.scopes,
            limits=self._settings.limits,
            repository=named_elsewhere,
            progress=progress,
            places=self._places,
        )


async def _refuse(
    send: Send, status: int, name: str, detail: str, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    """Answer with a problem (RFC 9457), as the rest of the server does."""
    problem = {"type": f"urn:kugetsu:problem:{name}", "title": name, "status": status, "detail": detail}
    body = json.dumps(problem).encode()
    kind = (b"content-type", b"application/problem+json")
    await send({"type": "http.response.start", "status": status, "headers": [kind, *headers]})
    await send({"type": "http.response.body", "body": body})
