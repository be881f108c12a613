"""What the tests of pruning share: tasks that were really worked on, records of them, and time that can be moved."""

from pathlib import Path

from kugetsu.app.clearing import Done
from kugetsu.app.keeping import Item
from kugetsu.app.pruning import Plan, Pruner
from kugetsu.config import DiskSettings
from kugetsu.protocols import Lease, WorkerInfo
from kugetsu.tasks import Ending, Outcome, Task, TaskState
from kugetsu.testing import FakeClock, MemoryStore
from kugetsu.workspace import GitWorkspace
from workspace.workspace_lab import Lab

DAY = 86_400.0
HOUR = 3_600.0


class PruningLab(Lab):
    """A lab with records. Its clock stands still until it is told otherwise."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.clock = FakeClock(auto=False)
        self.store = MemoryStore(self.clock)
        self.disk = DiskSettings(most_gb=0)
        self.home.mkdir()

    def time_of_files(self) -> None:
        """Let it be the time that files have which are made now."""
        self.clock.advance(self.home.stat().st_mtime - self.clock.now())

    def pruner(self) -> Pruner:
        return Pruner(self.home, self.environ, self.store, self.disk, self.clock)

    async def plan(self, days: float | None = None) -> Plan:
        return await self.pruner().plan(days=days)

    async def prune(self, days: float | None = None) -> list[Done]:
        return (await self.pruner().prune(days=days))[1]

    async def gone(self, days: float | None = None) -> list[str]:
        """Prune; the names of what is gone."""
        return [done.item.holding.name for done in await self.prune(days) if done.gone]

    async def item(self, name: str, days: float | None = None) -> Item:
        """What is to become of one thing."""
        [found] = [item for item in (await self.plan(days)).items if item.holding.name == name]
        return found

    async def begun(self, repo: Path | str, *, keep: bool = False) -> tuple[Task, GitWorkspace]:
        """A task that runs, with a commit and a snapshot."""
        task = self.task(repo)
        if keep:
            task = Task(id=task.id, prompt=task.prompt, repo=task.repo, model=task.model, keep_workspace=True)
        await self.store.register(WorkerInfo("w", "here", 1), 1e9)
        claim = (await self.store.submit(task, worker="w")).claim
        assert claim
        workspace = await self.workspaces.create(task)
        await self.store.place(claim.lease, workspace.place)
        self.agent(workspace, "echo new >> new.txt; git add -A; git commit -qm of-${PWD##*/}")
        await workspace.snapshot(1)
        return task, workspace

    async def finished(
        self, repo: Path | str, *, state: TaskState = "completed", keep: bool = False, deliver: bool = True
    ) -> tuple[Task, GitWorkspace]:
        """A task that is over, its work delivered."""
        task, workspace = await self.begun(repo, keep=keep)
        if deliver:
            await workspace.deliver()
            await workspace.close(keep=keep)
        await self.settle(task, state)
        return task, workspace

    async def settle(self, task: Task, state: TaskState, question: str = "") -> None:
        record = await self.store.find(task.id)
        outcome = Outcome("completed" if state == "completed" else "question", "so it ended")
        ending = Ending(state=state, outcome=outcome, report=record.report, question=question)
        await self.store.settle(Lease(record.id, record.generation), ending)

    def merge(self, repo: Path, workspace: GitWorkspace) -> None:
        self.git(repo, "merge", "-q", "--no-edit", workspace.branch)
