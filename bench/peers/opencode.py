"""OpenCode: processes of `opencode run`, and sessions of one `opencode serve`."""

import asyncio
import json
import re
from contextlib import suppress
from typing import Final

import aiohttp
from bench.peers.install import PEERS, program
from bench.peers.stage import PROMPT, Stage

_VERSION: Final = PEERS["opencode"]["opencode-ai"]
_QUIET: Final = {
    "OPENCODE_DISABLE_MODELS_FETCH": "1",
    "OPENCODE_DISABLE_AUTOUPDATE": "1",
    "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
    "OPENCODE_DISABLE_SHARE": "1",
}
_LISTENING: Final = re.compile(rb"listening on (http://\S+)")
_NO_LIMIT: Final = aiohttp.ClientTimeout(total=None)


def write_settings(stage: Stage) -> None:
    """Write what OpenCode reads, and what keeps it from installing its plugin package at every start."""
    folder = stage.home / "opencode" / "config" / "opencode"
    (folder / "node_modules").mkdir(parents=True)
    model = {"name": "mock", "tool_call": True, "limit": {"context": 200000, "output": 8192}}
    options = {"baseURL": stage.base_url, "apiKey": "none"}
    mock = {"npm": "@ai-sdk/openai-compatible", "name": "Mock", "options": options, "models": {"mock": model}}
    settings = {"autoupdate": False, "share": "disabled", "model": "mock/mock", "small_model": "mock/mock"}
    settings |= {"enabled_providers": ["mock"], "provider": {"mock": mock}, "permission": "allow"}
    needed = {"dependencies": {"@opencode-ai/plugin": _VERSION}}
    lock = {"name": "opencode", "lockfileVersion": 3, "requires": True, "packages": {"": needed}}
    for name, content in (("opencode.json", settings), ("package.json", needed), ("package-lock.json", lock)):
        (folder / name).write_text(json.dumps(content))


def variables(stage: Stage) -> dict[str, str]:
    """All its directories are below the stage's own."""
    home = stage.home / "opencode"
    kinds = ("CONFIG", "DATA", "CACHE", "STATE")
    return {**_QUIET, **{f"XDG_{kind}_HOME": str(home / kind.lower()) for kind in kinds}}


async def prepare(stage: Stage) -> None:
    """Write the settings, and let it make its database, so that no measured process has to."""
    write_settings(stage)
    warming = await stage.start([str(program("opencode")), "session", "list"], cwd=stage.repo, more=variables(stage))
    await warming.communicate()


class OpenCodeRun:
    """N processes that share a user's directories, as N terminals would."""

    key = "opencode-run"
    title = "opencode run, N processes"
    peer = "opencode"
    numbers = (1, 3, 5)
    quick = (1,)
    steps = (1, 2, 3)
    shared = False
    own_worktrees = False

    def __init__(self) -> None:
        self._done = 0

    async def prepare(self, stage: Stage) -> None:
        """See `prepare`."""
        self._done = 0
        await prepare(stage)

    async def run(self, stage: Stage) -> None:
        """Start all at once, and wait for the end of each."""
        async with asyncio.TaskGroup() as group:
            for number in range(stage.number):
                group.create_task(self._job(stage, number))

    async def done(self, stage: Stage) -> int:
        """How many ended with a last word and without an error: the exit code alone says little."""
        del stage
        return self._done

    async def _job(self, stage: Stage, number: int) -> None:
        command = [str(program("opencode")), "run", "--format", "json", PROMPT]
        process = await stage.start(command, cwd=stage.worktrees[number], more=variables(stage))
        kinds, reason = set(), ""
        assert process.stdout is not None
        async for line in process.stdout:
            with suppress(ValueError):
                event = json.loads(line)
                kinds.add(event["type"])
                reason = event.get("part", {}).get("reason", reason)
        await process.wait()
        self._done += process.returncode == 0 and reason == "stop" and "error" not in kinds


class OpenCodeServe:
    """N sessions of one server, each in a directory of its own."""

    key = "opencode-serve"
    title = "opencode serve, N sessions"
    peer = "opencode"
    numbers = (1, 10)
    quick = (1,)
    steps = (1, 2, 5, 10)
    shared = True
    own_worktrees = False

    def __init__(self) -> None:
        self._done = 0

    async def prepare(self, stage: Stage) -> None:
        """See `prepare`."""
        self._done = 0
        await prepare(stage)

    async def run(self, stage: Stage) -> None:
        """Start the server, give all sessions their prompt at once, and end it."""
        command = [str(program("opencode")), "serve", "--hostname", "127.0.0.1", "--port", "0"]
        process = await stage.start(command, cwd=stage.repo, more=variables(stage))
        try:
            assert process.stdout is not None
            async for line in process.stdout:
                if listening := _LISTENING.search(line):
                    await self._sessions(stage, listening[1].decode())
                    break
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
        await process.wait()

    async def done(self, stage: Stage) -> int:
        """How many prompts were answered to their end."""
        del stage
        return self._done

    async def _sessions(self, stage: Stage, address: str) -> None:
        connector = aiohttp.TCPConnector(limit=0)
        client = aiohttp.ClientSession(address, connector=connector, timeout=_NO_LIMIT)
        async with client, asyncio.TaskGroup() as group:
            for worktree in stage.worktrees:
                group.create_task(self._job(client, str(worktree)))

    async def _job(self, client: aiohttp.ClientSession, directory: str) -> None:
        place = {"directory": directory}
        try:
            async with client.post("/session", params=place, json={}) as response:
                session = (await response.json())["id"]
            body = {"parts": [{"type": "text", "text": PROMPT}]}
            async with client.post(f"/session/{session}/message", params=place, json=body) as response:
                answer = await response.json()
        except (aiohttp.ClientError, KeyError, ValueError):
            return  # one that does not answer has not done its job
        self._done += answer.get("info", {}).get("finish") == "stop"
