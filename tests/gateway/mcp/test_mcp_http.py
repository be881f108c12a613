"""Streamable HTTP, served by the server that we ship with and spoken to by the SDK's own client."""

import asyncio
import gc
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from gateway.mcp.mcp_lab import SLOW, WRITES, listening, opened, served
from kugetsu.app.service import LocalTasks
from kugetsu.config import HttpSettings, Settings
from kugetsu.gateway.mcp.http import McpMount
from support.command_line import CommandLine

JSON_HEADERS = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


@asynccontextmanager
async def mounted(tasks: LocalTasks, settings: Settings | None = None) -> AsyncIterator[str]:
    mount = McpMount(tasks, settings or Settings())
    async with asyncio.timeout(40), listening(mount) as url, mount.running():
        yield url


@asynccontextmanager
async def client(url: str, scopes: str = "admin", mode: str = "auto") -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(headers={"x-scopes": scopes}) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as one,
    ):
        yield one


@pytest.fixture
async def url(user: CommandLine) -> AsyncIterator[str]:
    user.make_repo({"a.txt": "a\n"})
    async with opened(user) as tasks, mounted(tasks, Settings(http=HttpSettings(body_kb=64))) as url:
        yield url


def job(user: CommandLine, *turns: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"prompt": "Write a note", "repo": str(user.repo), "model": user.script(*turns), **more}


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_a_client_of_either_era_submits_a_task_and_reads_it(url: str, user: CommandLine, mode: str) -> None:
    async with client(url, mode=mode) as one:
        task = (await one.call_tool("kugetsu_submit", job(user, *WRITES))).structured_content["id"]
        listed = await one.call_tool("kugetsu_status", {})
        assert [line["id"] for line in listed.structured_content["tasks"]] == [task]
        templates = (await one.list_resource_templates()).resource_templates
        assert "kugetsu://tasks/{id}/diff" in [template.uri_template for template in templates]
        with pytest.raises(MCPError, match="no branch"):
            await one.read_resource(f"kugetsu://tasks/{task}/diff")
        with pytest.raises(MCPError, match="there is nothing at"):
            await one.read_resource("kugetsu://elsewhere")


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_progress_is_told_while_a_task_is_waited_for_over_http(user: CommandLine, mode: str) -> None:
    user.make_repo({"a.txt": "a\n"})
    heard: list[float] = []

    async def tell(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001 - the SDK's
        heard.append(progress)

    async with served(user) as tasks, mounted(tasks) as url, client(url, mode=mode) as one:
        waiting = job(user, *SLOW, wait_seconds=1.2)
        done = await one.call_tool("kugetsu_submit", waiting, progress_callback=tell)
        assert not done.is_error, done.content
    assert heard == sorted(heard)
    assert heard


async def test_a_token_that_only_reads_starts_nothing_and_is_told_why(url: str, user: CommandLine) -> None:
    async with client(url, "read") as one:
        refused = await one.call_tool("kugetsu_submit", job(user, *WRITES))
        assert refused.is_error
        assert "the scope `submit`" in getattr(refused.content[0], "text", "")
        assert "counts" not in (await one.call_tool("kugetsu_status", {})).structured_content
    async with client(url, "submit") as one:
        with pytest.raises(MCPError, match="the scope `read`"):
            await one.list_resources()


async def test_a_path_that_means_something_only_where_the_caller_is_is_refused(url: str, user: CommandLine) -> None:
    async with client(url) as one:
        refused = await one.call_tool("kugetsu_submit", job(user, *WRITES) | {"repo": "./repo"})
        assert "relative path" in getattr(refused.content[0], "text", "")


async def test_there_are_no_streams_and_no_sessions_beside_answers(url: str) -> None:
    async with httpx2.AsyncClient(headers={"x-scopes": "admin", "accept": "text/event-stream"}) as http:
        for method in ("GET", "DELETE"):
            answer = await http.request(method, url)
            assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        answer = await http.post(url, json=LIST, headers=JSON_HEADERS)
        assert answer.status_code == 200
        assert "mcp-session-id" not in answer.headers


async def test_a_request_of_which_nobody_says_who_sends_it_is_refused(url: str) -> None:
    async with httpx2.AsyncClient() as http:
        answer = await http.post(url, json=LIST, headers=JSON_HEADERS)
        assert answer.status_code == 403


@pytest.mark.parametrize(
    ("body", "status"), [(b"{", 400), (b"[]", 400), (b'{"jsonrpc": "2.0", "id": 1}', 400), (b" " * 70_000, 413)]
)
async def test_bodies_that_are_no_request_are_refused(url: str, body: bytes, status: int) -> None:
    async with httpx2.AsyncClient(headers={"x-scopes": "admin"}) as http:
        assert (await http.post(url, content=body, headers=JSON_HEADERS)).status_code == status
        assert (await http.post(url, json=LIST, headers=JSON_HEADERS)).status_code == 200


async def test_many_requests_leave_nothing_behind(url: str) -> None:
    async with httpx2.AsyncClient(headers={"x-scopes": "admin"}) as http:

        async def ask() -> None:
            assert (await http.post(url, json=LIST, headers=JSON_HEADERS)).status_code == 200

        await asyncio.gather(*(ask() for _ in range(5)))
        tasks = len(asyncio.all_tasks())
        gc.collect()
        for _ in range(10):
            await asyncio.gather(*(ask() for _ in range(10)))
        while len(asyncio.all_tasks()) > tasks + 1:  # those of the last answers are just ending
            await asyncio.sleep(0.01)


async def test_a_server_that_stops_does_not_wait_for_calls_that_wait(user: CommandLine) -> None:
    user.make_repo({"a.txt": "a\n"})
    async with served(user) as tasks:
        mount = McpMount(tasks, Settings())
        async with asyncio.timeout(40), listening(mount) as url, asyncio.TaskGroup() as group:
            async with mount.running():
                http = httpx2.AsyncClient(headers={"x-scopes": "admin"}, timeout=30)
                call = {"name": "kugetsu_submit", "arguments": job(user, *SLOW, wait_seconds=30)}
                message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
                waiting = group.create_task(_attempt(http, url, message))
                while not (await tasks.stats()).tasks.get("running"):
                    await asyncio.sleep(0.05)
                began = time.monotonic()
            assert time.monotonic() - began < 15
            await waiting
            answer = await http.post(url, json=LIST, headers=JSON_HEADERS)
            assert (answer.status_code, answer.json()["type"]) == (503, "urn:kugetsu:problem:stopping")
            await http.aclose()


async def _attempt(http: httpx2.AsyncClient, url: str, message: dict[str, Any]) -> None:
    """Ask, and take any end of it."""
    with suppress(httpx2.HTTPError):
        await http.post(url, json=message, headers=JSON_HEADERS)


def test_the_sdk_is_imported_only_when_somebody_wants_it() -> None:
    code = (
        "import json, sys\n"
        "from kugetsu.cli.main import run_command_line\n"
        "run_command_line(['--help'])\n"
        "import kugetsu.cli.commands.serve, kugetsu.cli.commands.mcp, kugetsu.gateway.mcp.http, kugetsu.gateway.mcp.tools\n"
        "print()\n"
        "print(json.dumps([name for name in ('mcp', 'mcp_types', 'pydantic') if name in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=50)
    assert json.loads(done.stdout.splitlines()[-1]) == []
