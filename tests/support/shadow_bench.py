"""Shadows on fakes: a plain directory, records in memory, canned replies."""

import os
from pathlib import Path

from kugetsu.agent import Hooks, RetryPolicy, Toolbox
from kugetsu.protocols import SystemClock, Workspaces
from kugetsu.shadows import NativeRuntime, Parts, Shadow
from kugetsu.tasks import Limits, Task, new_task_id
from kugetsu.testing import CannedModel, CannedReply, DirectoryWorkspaces, MemoryStore, MemoryTaskLog
from kugetsu.tools import default_tools


class ShadowBench:
    """Makes shadows and keeps what they leave behind."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store = MemoryStore()
        self.model = CannedModel()
        self.workspaces: Workspaces = DirectoryWorkspaces(directory / "worktrees")

    def shadow(
        self,
        *replies: CannedReply,
        check: str = "",
        check_seconds: float = 30.0,
        limits: Limits | None = None,
        hooks: Hooks | None = None,
        prompt: str = "do it",
        repo: str = "none",
    ) -> Shadow:
        self.model = CannedModel(*replies)
        task = Task(
            id=new_task_id(),
            prompt=prompt,
            repo=repo,
            model=self.model.name,
            check=check,
            check_seconds=check_seconds,
            limits=limits or Limits(),
        )
        runtime = NativeRuntime(
            self.model,
            Toolbox(default_tools()),
            clock=SystemClock(),
            hooks=hooks or Hooks(),
            retry=RetryPolicy(base_seconds=0.001),
        )
        parts = Parts(
            runtime=runtime,
            workspaces=self.workspaces,
            store=self.store,
            clock=SystemClock(),
            scratch=self.directory / "scratch" / task.id,
            environment=os.environ,
            hooks=hooks or Hooks(),
        )
        return Shadow(task, parts)

    def root(self, shadow: Shadow) -> Path:
        return self.directory / "worktrees" / shadow.task.id

    def log(self, shadow: Shadow) -> MemoryTaskLog:
        return self.store.logs[shadow.task.id]
