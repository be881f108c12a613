"""The seam to workspaces: a worktree per task, and the branch it becomes."""

from pathlib import Path
from typing import Protocol

from kugetsu.tasks import Changes, Task


class Workspace(Protocol):
    """One task's worktree. Used by one shadow."""

    @property
    def path(self) -> Path:
        """The worktree's directory."""
        ...

    @property
    def directory(self) -> Path:
        """The directory of the worktree that the user named: its top, or the same subdirectory as in the repository."""
        ...

    @property
    def branch(self) -> str:
        """The branch the work is delivered on."""
        ...

    @property
    def base(self) -> str:
        """Full id of the commit the work starts from."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What this workspace does not do, one sentence each."""
        ...

    @property
    def environment(self) -> dict[str, str]:
        """Variables that commands in the worktree need: git's author and committer, and where its search ends."""
        ...

    async def commit_all(self, message: str) -> bool:
        """Commit everything that is uncommitted, untracked files included; False when there was nothing.

        May be called twice.

        Raises:
            WorkspaceError: git failed, for example on a full disk; nothing is lost.
        """
        ...

    async def changes(self) -> Changes:
        """Compute what the worktree holds relative to the base. Changes nothing; may be called twice.

        Raises:
            WorkspaceError: git failed.
        """
        ...

    async def deliver(self) -> None:
        """Bring the branch, with every commit of the worktree, into the user's repository. May be called twice.

        Raises:
            WorkspaceError: the repository refused it; the work stays here, the message says where and how to get it.
        """
        ...

    async def close(self, *, keep: bool = False, residue: bool = False) -> bool:
        """Remove the worktree if all its work is delivered; keep it when anything is not, or when told to.

        May be called twice. Raises nothing that matters: what could not be removed stays.

        Args:
            keep: keep it in any case.
            residue: what the worktree holds uncommitted is of no value, for it came after everything was delivered.

        Returns:
            Whether it is gone.
        """
        ...


class Workspaces(Protocol):
    """Makes workspaces."""

    async def create(self, task: Task) -> Workspace:
        """Make the worktree of a task from its repository and base.

        The user's working tree, index, branches and stash are never touched; one new branch appears in the repository.
        When it fails or is cancelled it leaves nothing behind.

        Raises:
            RepositoryError: the repository or base cannot be used; the message says why.
            WorkspaceError: the machine refused: disk full, no permission.
        """
        ...
