"""A workspace that is a plain directory."""

from pathlib import Path

from kugetsu.tasks import Changes, Task


class DirectoryWorkspace:
    """An empty directory without git. Implements `protocols.Workspace`; nothing in it is ever committed or counted."""

    notes: tuple[str, ...] = ()
    base = "0" * 40

    def __init__(self, path: Path, branch: str) -> None:
        self.path = self.directory = path
        self.branch = branch
        self.environment: dict[str, str] = {}

    async def commit_all(self, message: str) -> bool:  # noqa: ARG002 - nothing is ever committed
        """Nothing to commit."""
        return False

    async def changes(self) -> Changes:
        """Nothing to count."""
        return Changes()

    async def deliver(self) -> None:
        """Nowhere to deliver to."""

    async def close(self, *, keep: bool = False, residue: bool = False) -> bool:  # noqa: ARG002 - as it is
        """The directory stays: whoever made its parent removes it."""
        return True


class DirectoryWorkspaces:
    """Makes directories below one parent. Implements `protocols.Workspaces`."""

    def __init__(self, parent: Path) -> None:
        self._parent = parent

    async def create(self, task: Task) -> DirectoryWorkspace:
        """Make a directory named after the task."""
        path = self._parent / task.id
        path.mkdir(parents=True)
        return DirectoryWorkspace(path, f"kugetsu/{task.id}")
