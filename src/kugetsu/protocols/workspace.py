"""The seam to workspaces: a worktree per task, and the branch it becomes."""

from pathlib import Path
from typing import Protocol

from kugetsu.tasks import Changes, Place, Task


class Workspace(Protocol):
    """One task's worktree. Used by one shadow.

    Every method that changes something raises `LeaseLostError` when another run has taken over the worktree.
    """

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
    def place(self) -> Place:
        """Where it is, for `Workspaces.reopen`."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What this workspace does not do, one sentence each."""
        ...

    @property
    def environment(self) -> dict[str, str]:
        """Variables that commands in the worktree need: git's author and committer, and where its search ends."""
        ...

    @property
    def lost_power(self) -> bool:
        """Whether the machine went down since the worktree was last known to be whole: made, kept or put back.

        Then files that were written last may be lost or cut. False when it is not known.
        """
        ...

    async def holds(self, snapshot: str) -> bool:
        """Whether the worktree could be put back to a snapshot. Changes nothing.

        Args:
            snapshot: as `snapshot` returned it; empty for the base, which is always there.

        Raises:
            WorkspaceError: git failed, so it is not known.
        """
        ...

    async def snapshot(self, turn: int) -> str:
        """Keep the worktree as it is now, untracked files included and ignored ones not, and what is checked out.

        Nothing that git or the agent uses is changed. May be called twice for a turn.

        Returns:
            The full id of a commit that holds it, which stays until it is pruned; that of the last snapshot when nothing
            has changed since.

        Raises:
            WorkspaceError: git failed, for example on a full disk; the worktree is as it was.
        """
        ...

    async def restore(self, snapshot: str) -> None:
        """Put the worktree back to a snapshot: files, what is checked out, and the branch. Ignored files stay.

        May be called twice, also after it was cut in the middle.

        Args:
            snapshot: as `snapshot` returned it; empty for the base.

        Raises:
            WorkspaceError: it is gone, or git failed; calling again completes it.
        """
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

        Its snapshots stay, see `Workspaces.forget`. May be called twice. Raises nothing that matters: what could not be removed stays.

        Args:
            keep: keep it in any case.
            residue: what the worktree holds uncommitted is of no value, for it came after everything was delivered.

        Returns:
            Whether it is gone.
        """
        ...


class Workspaces(Protocol):
    """Makes workspaces, and finds them again."""

    async def verify(self, task: Task) -> None:
        """Look whether a worktree could be made, without making anything. A remote repository is not asked.

        Raises:
            RepositoryError: the repository or base cannot be used; the message says why.
            WorkspaceError: the machine refused.
        """
        ...

    async def create(self, task: Task, *, again: bool = False) -> Workspace:
        """Make the worktree of a task from its repository and base.

        The user's working tree, index, branches and stash are never touched; one new branch appears in the repository.
        When it fails or is cancelled it leaves nothing behind.

        Args:
            task: whose.
            again: an earlier attempt may have been killed half-way. What it left is removed first; nobody ever worked
                there.

        Raises:
            RepositoryError: the repository or base cannot be used; the message says why.
            WorkspaceError: the machine refused: disk full, no permission.
        """
        ...

    async def reopen(self, task: Task, place: Place, snapshot: str = "") -> Workspace:
        """Find the worktree of a task again, as its last run left it; what a crash left half-done is repaired.

        Args:
            task: whose.
            place: where, as it was written down.
            snapshot: what the worktree is made from if it is gone; empty for the base.

        Raises:
            RepositoryError, WorkspaceError: it cannot be had; the message says what is missing.
        """
        ...

    async def fork(self, task: Task, original: Place, snapshot: str, *, again: bool = False) -> Workspace:
        """Make the worktree of a task as another task's was at a snapshot; otherwise as `create`.

        Args:
            task: of the same repository.
            original: where the other task's work is.
            snapshot: one of the other task's; empty for its base.
            again: as for `create`.

        Raises:
            RepositoryError, WorkspaceError: as for `create`; or the snapshot has been pruned.
        """
        ...

    async def forget(self, task_id: str, place: Place) -> bool:
        """Remove the snapshots and the private repository of a task that is over; False when undelivered work is there.

        May be called twice.

        Raises:
            WorkspaceError: the machine refused.
        """
        ...
