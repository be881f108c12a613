"""One task's worktree, from its first file to its delivery."""

import contextlib
import os
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path

from kugetsu.concurrency import finish
from kugetsu.errors import RepositoryError, WorkspaceError
from kugetsu.removal import remove_tree
from kugetsu.tasks import Changes
from kugetsu.workspace.changes import Difference, commits_between, difference
from kugetsu.workspace.closing import other_work, removable
from kugetsu.workspace.commit import commit_result
from kugetsu.workspace.delivery import deliver
from kugetsu.workspace.failures import refused_by_machine
from kugetsu.workspace.git import Git
from kugetsu.workspace.private import Private
from kugetsu.workspace.result import Result, result
from kugetsu.workspace.source import Source
from kugetsu.workspace.state import State, environment, read_state
from kugetsu.workspace.wording import printable


class GitWorkspace:
    """A worktree of a private repository that borrows the source's objects. Made by `GitWorkspaces.create`.

    Args:
        private: where its files are.
        source: where the work comes from and goes to.
        base: full id of the commit it starts from.
        git: git, with the environment of agents.
        identity: who commits.
        notes: what is known already of what this workspace does not do.
    """

    def __init__(
        self,
        private: Private,
        source: Source,
        base: str,
        git: Git,
        identity: dict[str, str],
        *,
        notes: tuple[str, ...] = (),
    ) -> None:
        self._private = private
        self._source = source
        self._base = base
        self._git = git.at(private.repository, environment(private))
        self._identity = identity
        self._notes = dict.fromkeys(notes)
        self._delivered = base
        self._rules = private.rules

    @property
    def path(self) -> Path:
        """The worktree's directory."""
        return self._private.worktree

    @property
    def directory(self) -> Path:
        """The directory of the worktree that the user named: its top, or the same subdirectory as in the repository."""
        named = self.path / self._source.subdirectory
        return named if named.is_dir() else self.path

    @property
    def branch(self) -> str:
        """The branch the work is delivered on."""
        return self._private.branch

    @property
    def base(self) -> str:
        """Full id of the commit the work starts from."""
        return self._base

    @property
    def notes(self) -> tuple[str, ...]:
        """What this workspace does not do, one sentence each. More may come with each call of its methods."""
        return tuple(self._notes)

    @property
    def environment(self) -> dict[str, str]:
        """Variables that commands in the worktree need: git's author and committer, and where its search ends.

        Without the end an agent that deletes the worktree's `.git` would find itself in a repository around it.
        """
        return {**self._identity, "GIT_CEILING_DIRECTORIES": str(self._private.worktree.parent)}

    async def commit_all(self, message: str) -> bool:
        """Commit everything that is uncommitted, untracked files included; False when there was nothing.

        Raises:
            WorkspaceError: git failed, for example on a full disk; nothing is lost.
        """
        with _workspace_errors():
            state = await self._state()
            if not self._private.worktree_exists:
                return False
            async with result(self._private, self._files, state) as found:
                self._note_left_out(found)
                if found.pending:
                    await commit_result(self._private, self._git, state, found, message, self._identity)
                return found.pending

    async def changes(self) -> Changes:
        """Compute what the worktree holds relative to the base. Changes nothing; may be called twice.

        Raises:
            WorkspaceError: git failed.
        """
        with _workspace_errors():
            state = await self._state()
            found, uncommitted, _ = await self._examine(state)
            commits = await commits_between(self._git, self._base, state.tip)
            return Changes(commits, found.files_changed, found.insertions, found.deletions, uncommitted)

    async def deliver(self) -> None:
        """Bring the branch, with every commit of the worktree, into the source. May be called twice.

        Raises:
            WorkspaceError: the source refused it; the work stays here, the message says where and how to get it.
        """
        with _workspace_errors():
            state = await self._state()
            await deliver(self._source, self._private, self._git, state.tip, self._delivered)
            self._delivered = state.tip
            if self._source.mirror and state.tip != self._base:
                self._note(
                    f"The branch is in the mirror of {self._source.place};"
                    f" get it with: git fetch {shlex.quote(str(self._source.common))} {self.branch}"
                )
            for name in await other_work(self._git, state.tip):
                self._note(
                    f"Commits of `{printable(name)}` are not part of {self.branch};"
                    f" they are kept in {printable(self._private.repository)}."
                )

    async def close(self, *, keep: bool = False, residue: bool = False) -> bool:
        """Remove the worktree if all its work is delivered; see `protocols.Workspace`."""
        if keep or not self._private.exists:
            return not self._private.worktree_exists
        with contextlib.suppress(WorkspaceError):  # what cannot be examined is kept
            if await self._safe_to_remove(residue=residue):
                await finish(self._remove())
        return not self._private.worktree_exists

    async def _remove(self) -> None:
        """To its end once begun: half a worktree would look like one in which the rest was deleted."""
        await remove_tree(self._private.worktree)
        await remove_tree(self._private.repository)

    @property
    def _files(self) -> Git:
        return self._git.at(self._private.worktree, {})

    async def _state(self) -> State:
        if not self._private.worktree_exists:
            self._note(f"The worktree {printable(self.path)} was removed; only what was committed is left.")
        return await read_state(self._private, self._git, self._base)

    async def _safe_to_remove(self, *, residue: bool) -> bool:
        with _workspace_errors():
            state = await self._state()
            if state.tip != self._delivered or self._private.rules != self._rules:
                return False
            if not residue:
                _, uncommitted, inner = await self._examine(state)
                if uncommitted or inner:
                    return False
            return await removable(self._private, self._git)

    async def _examine(self, state: State) -> tuple[Difference, bool, bool]:
        """How the result differs from the base, whether it is uncommitted, and whether it holds other repositories."""
        if not self._private.worktree_exists:
            return await difference(self._git, self._base, state.tip), False, False
        async with result(self._private, self._files, state) as found:
            self._note_left_out(found)
            changed = await difference(self._git, self._base, found.tree)
            inner = [path for path in changed.repositories if (self.path / os.fsdecode(path) / ".git").exists()]
            self._note_unsaved(inner)
            return changed, found.uncommitted, bool(inner)

    def _note(self, sentence: str) -> None:
        self._notes.setdefault(sentence)

    def _note_left_out(self, found: Result) -> None:
        self._note_unsaved(found.unsaved)
        if found.conflict:
            self._note(
                f"Something older than {self.branch} is checked out;"
                f" what is uncommitted there does not fit on it and stays in {printable(self.path)}."
            )

    def _note_unsaved(self, paths: Iterable[bytes]) -> None:
        for path in sorted(paths):
            self._note(
                f"`{printable(path)}` is a repository of its own or cannot be read;"
                f" it is not part of {self.branch} and stays in {printable(self.path)}."
            )


@contextlib.contextmanager
def _workspace_errors() -> Iterator[None]:
    """After a workspace was made every failure is one of the workspace."""
    try:
        yield
    except RepositoryError as error:
        raise WorkspaceError(error.message, fix=error.fix) from error
    except OSError as error:
        raise refused_by_machine(error, "use the worktree") from error
