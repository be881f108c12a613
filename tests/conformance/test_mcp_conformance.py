"""`@modelcontextprotocol/conformance` against the MCP server that `kugetsu serve` offers: `make test-mcp`."""

import asyncio
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance.dressed_server import dressed
from conformance.npm_suite import SuiteMissingError, command
from support.command_line import CommandLine, tool

EXPECTED = Path(__file__).with_name("expected-failures.yml")

WRITES = ({"tool_calls": [tool("write", path="note.txt", content="hello\n")]}, {"text": "The note is there."})
SLOW = ({"text": "thinking", "delay": 60.0},)


@pytest.fixture(scope="module")
def suite() -> list[str]:
    try:
        return command()
    except SuiteMissingError as error:
        pytest.skip(f"the conformance suite of MCP is not there: {error}")


@pytest.fixture
def url(user: CommandLine) -> Iterator[str]:
    """A server that works on the queue."""
    user.make_repo({"a.txt": "a\n"})
    process = user.start("serve", "--port", "0")
    try:
        assert process.stderr
        for line in process.stderr:
            if found := re.search(rb"listening on (http://\S+)", line):
                yield f"{found[1].decode()}/mcp"
                break
        else:
            pytest.fail(f"it ended with {process.wait(10)} and never listened")
    finally:
        process.kill()  # an agent thinks for a minute, and a graceful stop would wait for it
        process.communicate(timeout=30)


def submit(user: CommandLine, prompt: str, name: str, *turns: Any) -> str:
    model = user.script(*turns, name=name)
    task: str = user.run("submit", prompt, "--repo", str(user.repo), "--model", model, "--json").json()["id"]
    return task


def check(suite: list[str], url: str, *arguments: str) -> str:
    """Run scenarios; what was said of them."""
    done = subprocess.run(
        [*suite, "server", "--url", url, *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-2000:]}"
    return done.stdout


@pytest.mark.timeout(240)
async def test_all_that_is_offered_conforms_and_what_is_not_is_listed(
    suite: list[str], user: CommandLine, url: str, tmp_path: Path
) -> None:
    finished = await asyncio.to_thread(submit, user, "Write note 123", "writes.json", *WRITES)
    slow = await asyncio.to_thread(submit, user, "Think", "slow.json", *SLOW)
    await asyncio.to_thread(user.wait_for_state, finished, "completed")
    await asyncio.to_thread(user.wait_for_state, slow, "running")
    tools: dict[str, tuple[str, dict[str, Any]]] = {
        "test_simple_text": ("kugetsu_result", {"task": finished}),
        "test_error_handling": ("kugetsu_control", {"task": finished, "action": "answer", "text": "42"}),
        "test_tool_with_progress": ("kugetsu_result", {"task": slow, "wait_seconds": 2.5}),
    }
    resources = {
        "test://static-text": f"kugetsu://tasks/{finished}/diff",
        "test://template/123/data": f"kugetsu://tasks/{finished}",
    }
    async with dressed(url, tools, resources) as address:
        said = await asyncio.to_thread(
            check,
            suite,
            address,
            "--suite",
            "all",
            "--expected-failures",
            str(EXPECTED),
            "-o",
            str(tmp_path / "results"),
        )
    for scenario in ("tools-call-simple-text", "tools-call-with-progress", "resources-read-text", "resources-list"):
        assert re.search(rf"✓ {scenario}: 1 passed", said), said[-3000:]


async def test_pages_of_others_are_kept_out(suite: list[str], url: str) -> None:
    await asyncio.to_thread(check, suite, url, "--scenario", "dns-rebinding-protection")


async def test_the_handshake_of_another_implementation_works_without_the_proxy(suite: list[str], url: str) -> None:
    for scenario in ("server-initialize", "ping", "tools-list"):
        await asyncio.to_thread(check, suite, url, "--scenario", scenario)
