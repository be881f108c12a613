"""Shadows on fakes: a plain directory, records in memory, canned replies."""

import os
from pathlib import Path

import msgspec

from kugetsu.agent import Hooks, RetryPolicy, Toolbox
from kugetsu.events import Event
from kugetsu.messages import Message
from kugetsu.protocols import Claim, Store, SystemClock, WorkerInfo, Workspaces
from kugetsu.sessions import Entry
from kugetsu.shadows import NativeRuntime, Parts, Shadow
from kugetsu.tasks import Limits, Requeueing, Task, TaskRecord, TaskReport, new_task_id
from kugetsu.testing import (
    CannedModel,
    CannedReply,
    DirectoryWorkspace,
    DirectoryWorkspaces,
    MemoryJournal,
    MemoryStore,
)
from kugetsu.tools import default_tools


class Kept(msgspec.Struct):
    """What the store has of a task."""

    record: TaskRecord
    history: list[Event]
    entries: list[Entry]

    @property
    def report(self) -> TaskReport:
        return self.record.shown

    @property
    def messages(self) -> list[Message]:
        return MemoryJournal(self.entries).messages


class Makes(DirectoryWorkspaces):
    """Makes workspaces of one kind."""

    def __init__(self, parent: Path, kind: type[DirectoryWorkspace]) -> None:
        super().__init__(parent)
        self.parent = parent
        self.kind = kind
        self.made: list[DirectoryWorkspace] = []

    async def create(self, task: Task, *, again: bool = False) -> DirectoryWorkspace:
        del again
        path = self.parent / task.id
        path.mkdir(parents=True)
        self.made.append(self.kind(path, "kugetsu/x"))
        return self.made[-1]


class ShadowBench:
    """Makes shadows and keeps what they leave behind."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store: Store = MemoryStore()
        self.model = CannedModel()
        self.workspaces: Workspaces = DirectoryWorkspaces(directory / "worktrees")
        self.worker = WorkerInfo("bench", "here/now", os.getpid())

    def task(
        self,
        *,
        check: str = "",
        check_seconds: float = 30.0,
        limits: Limits | None = None,
        prompt: str = "do it",
        repo: str = "none",
        attempts: int = 1,
    ) -> Task:
        return Task(
            id=new_task_id(),
            prompt=prompt,
            repo=repo,
            model=self.model.name,
            check=check,
            check_seconds=check_seconds,
            limits=limits or Limits(),
            attempts=attempts,
        )

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
        task = self.task(check=check, check_seconds=check_seconds, limits=limits, prompt=prompt, repo=repo)
        return self.shadow_of(task, *replies, hooks=hooks)

    def shadow_of(
        self, task: Task, *replies: CannedReply, hooks: Hooks | None = None, claim: Claim | None = None
    ) -> Shadow:
        self.model = CannedModel(*replies)
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
            worker=self.register,
            scratch=self.directory / "scratch" / task.id,
            environment=os.environ,
            hooks=hooks or Hooks(),
            requeueing=Requeueing(0.001, 0.001),
        )
        return Shadow(task, parts, claim)

    async def register(self) -> WorkerInfo:
        await self.store.register(self.worker, 60.0)
        return self.worker

    async def again(self, shadow: Shadow, *replies: CannedReply) -> Shadow:
        """The shadow of the same task's next run."""
        await self.register()
        claim = await self.store.claim_task(self.worker.id, shadow.task.id)
        return self.shadow_of(claim.record.task, *replies, claim=claim)

    async def crash(self) -> None:
        """Let the worker be dead."""
        await self.store.reap({self.worker.id})

    def root(self, shadow: Shadow) -> Path:
        return self.directory / "worktrees" / shadow.task.id

    async def log(self, shadow: Shadow) -> Kept:
        record = await self.store.find(shadow.task.id)
        entries = [line.entry for line in await self.store.session(record.id)]
        return Kept(record, await self.store.events(record.id), entries)
