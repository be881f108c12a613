"""Ours: one `kugetsu serve`, tasks in its queue, everything durable, a worktree and a branch for each task."""

import json
import sys
from typing import Final

from bench.peers.stage import ROOT, Stage

_KUGETSU: Final = (sys.executable, "-m", "kugetsu")


class Ours:
    """N tasks in the queue of one daemon with N slots."""

    key = "ours"
    title = "kugetsu serve, N tasks"
    peer = ""
    numbers = (1, 10, 100, 500)
    quick = (1, 10, 100)
    steps = (100, 200, 500, 750, 1000)
    shared = True
    own_worktrees = True

    async def prepare(self, stage: Stage) -> None:
        """Write the settings, and submit the tasks.

        Raises:
            OSError: they could not be submitted.
        """
        lines = ['model = "bench/scripted"', "[providers.bench]", f'base_url = "{stage.base_url}"']
        (stage.home / "kugetsu.toml").write_text("\n".join([*lines, "[queue]", "most_pending = 0", ""]))
        arguments = (str(stage.home / "kugetsu.toml"), str(stage.repo), str(stage.number))
        more = self._more(stage)
        submitting = await stage.start([sys.executable, "-m", "bench.peers.submit", *arguments], cwd=ROOT, more=more)
        await submitting.communicate()
        if submitting.returncode:
            raise OSError(f"tasks could not be submitted: {stage.complaints()}")

    async def run(self, stage: Stage) -> None:
        """Serve until the queue is empty."""
        command = [*_KUGETSU, "serve", "--until-idle", "--slots", str(stage.number or 1)]
        serving = await stage.start(
            [*command, "--config", str(stage.home / "kugetsu.toml")], cwd=stage.home, more=self._more(stage)
        )
        await serving.communicate()

    async def done(self, stage: Stage) -> int:
        """How many tasks are completed, as the store has it."""
        command = [*_KUGETSU, "list", "--json", "--state", "completed", "--limit", str(stage.number or 1)]
        listing = await stage.start(command, cwd=stage.home, more=self._more(stage))
        output, _ = await listing.communicate()
        return len(json.loads(output)["tasks"]) if listing.returncode == 0 else 0

    def _more(self, stage: Stage) -> dict[str, str]:
        return {"KUGETSU_HOME": str(stage.home / "state")}
