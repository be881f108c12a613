"""MCP in `kugetsu serve`, and `kugetsu mcp` beside it, as real programs."""

import asyncio
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters

from gateway.mcp.mcp_lab import COMMAND, WRITES
from support.command_line import CommandLine


@contextmanager
def serving(user: CommandLine) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """A server that works on the queue; where MCP is spoken, and the process."""
    process = user.start("serve", "--port", "0")
    try:
        assert process.stderr
        said = iter(process.stderr.readline, b"")
        found = next((match for line in said if (match := re.search(rb"listening on (http://\S+)", line))), None)
        assert found, f"it ended with {process.wait(10)}"
        yield f"{found[1].decode()}/mcp", process
    finally:
        process.kill()
        process.communicate(timeout=30)


def program(user: CommandLine) -> StdioServerParameters:
    return StdioServerParameters(command=COMMAND[0], args=COMMAND[1:], env=user.environ, cwd=user.repo)


def holds_the_sdk(process: "subprocess.Popen[bytes]") -> bool:
    return "pydantic_core" in Path(f"/proc/{process.pid}/maps").read_text()


async def test_a_server_holds_nothing_of_the_sdk_before_somebody_speaks_mcp(user: CommandLine) -> None:
    user.make_repo({"a.txt": "a\n"})
    with serving(user) as (url, process):
        user.run("list")
        assert not holds_the_sdk(process)
        async with asyncio.timeout(40), Client(url) as client:
            arguments = {"prompt": "Write", "repo": str(user.repo), "model": user.script(*WRITES), "wait_seconds": 20}
            done = await client.call_tool("kugetsu_submit", arguments)
        assert done.structured_content["state"] == "completed", done.content
        assert holds_the_sdk(process)


async def test_one_client_goes_on_while_servers_come_and_go(user: CommandLine) -> None:
    user.make_repo({"a.txt": "a\n"})
    arguments = {"prompt": "Write a note", "model": user.script(*WRITES)}
    async with asyncio.timeout(50), Client(program(user), mode="legacy") as client:
        alone = await client.call_tool("kugetsu_submit", arguments)
        assert "kugetsu serve" in getattr(alone.content[0], "text", "")
        with serving(user):
            task = alone.structured_content["id"]
            done = await client.call_tool("kugetsu_result", {"task": task, "wait_seconds": 20})
            assert not done.is_error, done.content
            assert done.structured_content["state"] == "completed", done.content
            assert "+hello" in done.structured_content["diff"]
        after = await client.call_tool("kugetsu_status", {})
        assert not after.is_error, after.content
        assert after.structured_content["counts"] == {"completed": 1}
