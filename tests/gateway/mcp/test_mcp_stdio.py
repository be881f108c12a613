"""The real program, spoken to by the SDK's own client and by hand."""

import asyncio
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters

from gateway.mcp.mcp_lab import COMMAND, SLOW, WRITES, served
from support.command_line import CommandLine

HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "hand", "version": "1"}},
}
READY = {"jsonrpc": "2.0", "method": "notifications/initialized"}


def ask(number: int, tool: str, **arguments: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}


def program(user: CommandLine, *arguments: str) -> StdioServerParameters:
    return StdioServerParameters(
        command=COMMAND[0], args=[*COMMAND[1:], *arguments], env=user.environ, cwd=user.directory
    )


@contextmanager
def started(user: CommandLine) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(
        COMMAND, cwd=user.directory, env=user.environ, stdin=-1, stdout=-1, stderr=-1, bufsize=0
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def say(process: "subprocess.Popen[bytes]", *messages: dict[str, Any]) -> None:
    assert process.stdin
    for message in messages:
        process.stdin.write(json.dumps(message).encode() + b"\n")


def hear(process: "subprocess.Popen[bytes]") -> dict[str, Any]:
    assert process.stdout
    line = bytearray()
    while not line.endswith(b"\n"):
        piece = process.stdout.read(1)
        assert piece, f"it ended after {bytes(line)!r}"
        line += piece
    message: dict[str, Any] = json.loads(line)
    return message


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_a_client_of_either_era_submits_a_task_without_a_server_and_looks_at_it(
    user: CommandLine, mode: str
) -> None:
    user.make_repo({"a.txt": "a\n"})
    async with asyncio.timeout(40), Client(program(user), mode=mode) as client:
        tools = await client.list_tools()
        assert {"kugetsu_submit", "pi_agent"} <= {tool.name for tool in tools.tools}
        arguments = {"prompt": "Write a note", "repo": "repo", "model": user.script(*WRITES)}
        done = await client.call_tool("kugetsu_submit", arguments)
        assert not done.is_error, done.content
        task = done.structured_content["id"]
        assert (await client.call_tool("kugetsu_status", {"task": task})).structured_content["task"]["repo"] == str(
            user.repo
        )
        assert f"kugetsu://tasks/{task}" in [one.uri for one in (await client.list_resources()).resources]
        details = (await client.read_resource(f"kugetsu://tasks/{task}")).contents[0]
        assert json.loads(getattr(details, "text", ""))["id"] == task
        wrong = await client.call_tool("kugetsu_control", {"task": "nothing", "action": "pause"})
        assert wrong.is_error


async def test_progress_is_told_while_a_task_is_waited_for(user: CommandLine) -> None:
    user.make_repo({"a.txt": "a\n"})
    heard: list[str | None] = []

    async def tell(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001 - the SDK's
        heard.append(message)

    async with asyncio.timeout(40), served(user), Client(program(user, "--repo", "repo"), mode="legacy") as client:
        arguments = {"prompt": "Think", "model": user.script(*SLOW), "wait_seconds": 1.5}
        done = await client.call_tool("kugetsu_submit", arguments, progress_callback=tell)
        assert not done.is_error, done.content
    assert heard


def test_nothing_but_the_protocol_is_on_stdout_and_it_ends_when_the_client_is_gone(user: CommandLine) -> None:
    with started(user) as process:
        say(process, HELLO, READY, ask(2, "kugetsu_status"), ask(3, "kugetsu_status", task="none"))
        assert {hear(process)["id"] for _ in range(3)} == {1, 2, 3}
        assert process.stdin
        process.stdin.close()
        began = time.monotonic()
        assert process.wait(25) == 0
        assert time.monotonic() - began < 15
        assert process.stdout
        assert process.stdout.read() == b""


def test_a_signal_ends_it_while_it_reads_what_never_comes(user: CommandLine) -> None:
    with started(user) as process:
        say(process, HELLO)
        assert hear(process)["result"]["serverInfo"]["name"] == "kugetsu"
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(25) == 0
        assert time.monotonic() - began < 15
        assert process.stderr
        assert process.stderr.read() == b""


async def test_a_client_that_leaves_while_it_waits_does_not_keep_the_program(user: CommandLine) -> None:
    user.make_repo({"a.txt": "a\n"})
    async with asyncio.timeout(40), served(user) as tasks:
        with started(user) as process:
            task = ask(2, "kugetsu_submit", prompt="Think", repo="repo", model=user.script(*SLOW), wait_seconds=30)
            await asyncio.to_thread(say, process, HELLO, READY, task)
            while not (await tasks.stats()).tasks.get("running"):
                await asyncio.sleep(0.05)
            assert process.stdin
            process.stdin.close()
            began = time.monotonic()
            assert await asyncio.to_thread(process.wait, 25) == 0
            assert time.monotonic() - began < 15


def test_what_is_no_protocol_is_answered_or_passed_over_and_the_next_call_works(user: CommandLine) -> None:
    with started(user) as process:
        assert process.stdin
        process.stdin.write(b"garbage \xff\n\n[]\n")
        say(process, HELLO)
        while "result" not in (answer := hear(process)):
            pass
        assert answer["id"] == 1


@pytest.mark.parametrize("seconds", [0.0, 0.5])
def test_a_client_that_does_not_read_can_still_end_it(user: CommandLine, seconds: float) -> None:
    with started(user) as process:
        lists = [{"jsonrpc": "2.0", "id": number, "method": "tools/list"} for number in range(2, 60)]
        say(process, HELLO, READY, *lists)
        assert hear(process)["id"] == 1
        time.sleep(seconds)  # in the midst of it, and when it is stuck
        process.send_signal(signal.SIGTERM)
        assert process.stderr
        assert (process.wait(25), process.stderr.read()) == (0, b"")


async def test_a_server_that_was_named_and_is_not_there_is_an_answer_in_words(user: CommandLine) -> None:
    async with asyncio.timeout(40), Client(program(user, "--server", "http://127.0.0.1:9"), mode="legacy") as client:
        done = await client.call_tool("kugetsu_status", {})
        assert done.is_error
        assert "127.0.0.1:9" in getattr(done.content[0], "text", "")
