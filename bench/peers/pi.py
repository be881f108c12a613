"""Pi: processes that speak `--mode rpc`, and many agents in one node process (driven by `pi_agents.mjs`)."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Final, Literal

from bench.peers.install import folder_of, program
from bench.peers.stage import PROMPT, Stage

_DRIVER: Final = Path(__file__).with_name("pi_agents.mjs")
_QUIET: Final = {"PI_OFFLINE": "1", "PI_TELEMETRY": "0", "PI_SKIP_VERSION_CHECK": "1"}
_MODEL: Final = {"id": "mock", "contextWindow": 128000, "maxTokens": 16384}
_COMPAT: Final = {"supportsDeveloperRole": False, "supportsReasoningEffort": False}


def write_settings(folder: Path, base_url: str) -> None:
    """Write what Pi reads: the model that is ours, and no telemetry."""
    folder.mkdir(parents=True)
    provider = {"baseUrl": base_url, "api": "openai-completions", "apiKey": "none", "compat": _COMPAT}
    (folder / "models.json").write_text(json.dumps({"providers": {"mock": {**provider, "models": [_MODEL]}}}))
    settings = {"defaultProvider": "mock", "defaultModel": "mock", "enableInstallTelemetry": False}
    (folder / "settings.json").write_text(json.dumps(settings))


class PiRpc:
    """N processes, each with a directory of settings of its own."""

    key = "pi-rpc"
    title = "pi --mode rpc, N processes"
    peer = "pi"
    numbers = (1, 5, 15, 20)
    quick = (1, 5)
    steps = (5, 10, 15, 20)
    shared = False
    own_worktrees = False

    def __init__(self) -> None:
        self._done = 0

    async def prepare(self, stage: Stage) -> None:
        """Write the settings of each."""
        self._done = 0
        for number in range(stage.number):
            write_settings(stage.home / f"pi-{number}", stage.base_url)

    async def run(self, stage: Stage) -> None:
        """Start all at once, and wait for the end of each."""
        async with asyncio.TaskGroup() as group:
            for number in range(stage.number):
                group.create_task(self._job(stage, number))

    async def done(self, stage: Stage) -> int:
        """How many ended their run without an error and left with 0."""
        del stage
        return self._done

    async def _job(self, stage: Stage, number: int) -> None:
        cli = folder_of("pi") / "node_modules" / "@earendil-works" / "pi-coding-agent" / "dist" / "bundle" / "cli.js"
        command = [str(program("pi")), str(cli), "--mode", "rpc", "--provider", "mock", "--model", "mock"]
        more = {**_QUIET, "PI_CODING_AGENT_DIR": str(stage.home / f"pi-{number}")}
        process = await stage.start(command, cwd=stage.worktrees[number], more=more, stdin=True)
        assert process.stdin is not None
        process.stdin.write(json.dumps({"id": "job", "type": "prompt", "message": PROMPT}).encode() + b"\n")
        settled = False
        assert process.stdout is not None
        async for line in process.stdout:
            event = json.loads(line)
            if event["type"] == "agent_settled":
                settled = True
                process.stdin.close()
            elif event["type"] == "response" and not event["success"]:
                process.stdin.close()
        await process.wait()
        self._done += settled and process.returncode == 0


class PiInProcess:
    """N agents in one node process.

    Args:
        kind: `core` for pi-agent-core with its own bash tool, which keeps nothing; `sdk` for the full session of the SDK:
            session files, retry, compaction, all tools.
    """

    peer = "pi"
    numbers: tuple[int, ...] = (1, 10, 100, 500)
    quick: tuple[int, ...] = (1, 10, 100)
    steps: tuple[int, ...] = (100, 200, 500, 1000)
    shared = True
    own_worktrees = False

    def __init__(self, kind: Literal["core", "sdk"]) -> None:
        self._kind = kind
        self._done = 0
        self.key = f"pi-{kind}"
        self.title = "pi-agent-core, N agents" if kind == "core" else "Pi SDK, N sessions"

    async def prepare(self, stage: Stage) -> None:
        """Write the settings, and put the driver where it finds its packages."""
        self._done = 0
        write_settings(stage.home / "pi", stage.base_url)
        shutil.copy(_DRIVER, folder_of("pi") / _DRIVER.name)
        (stage.home / "trees.json").write_text(json.dumps([str(path) for path in stage.worktrees]))

    async def run(self, stage: Stage) -> None:
        """Run the driver, which says in its last line how many are done."""
        driver = str(folder_of("pi") / _DRIVER.name)
        command = [str(program("pi")), driver, self._kind, stage.base_url, str(stage.home / "trees.json"), PROMPT]
        more = {**_QUIET, "PI_CODING_AGENT_DIR": str(stage.home / "pi")}
        process = await stage.start(command, cwd=stage.home, more=more)
        output, _ = await process.communicate()
        if process.returncode == 0:
            self._done = int(json.loads(output.splitlines()[-1])["done"])

    async def done(self, stage: Stage) -> int:
        """How many the driver says ended without an error."""
        del stage
        return self._done
