"""Making workspaces: from a task to a worktree."""

import asyncio
import os
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from kugetsu.concurrency import finish
from kugetsu.errors import RepositoryError
from kugetsu.failpoints import reach
from kugetsu.processes import moment
from kugetsu.tasks import Place, Task, branch_name
from kugetsu.workspace.address import RemoteUrl, parse_address
from kugetsu.workspace.base import resolve_base
from kugetsu.workspace.discarding import clear, discard, sweep
from kugetsu.workspace.facts import Facts, facts_of
from kugetsu.workspace.failures import refused_by_machine
from kugetsu.workspace.forgetting import Undelivered, forget, no_repository, undelivered
from kugetsu.workspace.git import Git, agent_environment
from kugetsu.workspace.holding import held
from kugetsu.workspace.making import Known, Making
from kugetsu.workspace.mirror import fetch_mirror, mirror_path, open_mirror
from kugetsu.workspace.private import Private, private_of, task_id_of
from kugetsu.workspace.reopening import reopen
from kugetsu.workspace.source import Source, known_source, open_source, open_source_again
from kugetsu.workspace.version import git_version
from kugetsu.workspace.workspace import GitWorkspace

_AT_ONCE: Final = 8
"""Worktrees made at the same time; each takes a handful of git processes, so more would only crowd the machine."""

_VERIFIED_SECONDS: Final = 1.0
_MOST_VERIFIED: Final = 1_000

_TASK_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]*")


class GitWorkspaces:
    """Makes worktrees of local repositories, and of mirrors of remote ones.

    Args:
        home: directory of all of Kugetsu's state; `repos`, `worktrees` and `mirrors` are made in it.
        environ: the user's environment.
    """

    def __init__(self, home: Path, environ: Mapping[str, str] = os.environ) -> None:
        self._home = home.absolute()
        self._environ = environ
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._git_is_good = False
        self._asking = asyncio.Lock()
        self._known = Known(environ)
        self._verified: dict[tuple[str, str], float] = {}

    async def verify(self, task: Task) -> None:
        """Look whether a worktree could be made, without making anything. A remote repository is not asked.

        What was found right is taken to be so for a second: many tasks may come in at once.

        Raises:
            RepositoryError: the repository or base cannot be used; the message says why.
            WorkspaceError: the machine refused: git is missing or too old, no permission.
        """
        self._private(task)
        if time.monotonic() < self._verified.get((task.repo, task.base), 0.0):
            return
        await self._check_git()
        address = parse_address(task.repo)
        if isinstance(address, RemoteUrl):
            return
        source = await self._known.sources.open(address)
        await self._known.sources.config(source)
        await resolve_base(source, task.base)
        if len(self._verified) >= _MOST_VERIFIED:
            self._verified.clear()
        self._verified[task.repo, task.base] = time.monotonic() + _VERIFIED_SECONDS

    async def create(self, task: Task, *, again: bool = False) -> GitWorkspace:
        """Make the worktree of a task from its repository and base; see `protocols.Workspaces`.

        Raises:
            RepositoryError: the repository or base cannot be used; the message says why.
            WorkspaceError: the machine refused: git is missing or too old, the disk is full, no permission.
            LeaseLostError: another process makes it too, or works there already.
        """
        return await self._create(task, task.base, again=again)

    async def fork(self, task: Task, original: Place, snapshot: str, *, again: bool = False) -> GitWorkspace:
        """Make the worktree of a task as another task's was at a snapshot; see `protocols.Workspaces`.

        What the snapshot holds is copied, so the other task may be forgotten. The base is that of the other task.

        Raises:
            RepositoryError, WorkspaceError, LeaseLostError: as for `create`; or the snapshot has been pruned.
        """
        there = private_of(self._home, task_id_of(original.branch), original.branch)
        return await self._create(task, original.base, again=again, origin=(there, snapshot))

    async def reopen(self, task: Task, place: Place, snapshot: str = "") -> GitWorkspace:
        """Find the worktree of a task again, as its last run left it; see `protocols.Workspaces` and `reopening`.

        Raises:
            RepositoryError, WorkspaceError: it cannot be had; the message says what is missing.
        """
        private, since = self._private(task, place.branch), moment()
        await self._check_git()
        try:
            source = await self._open_as_it_is(task.repo, facts_of(place))
            async with self._room, held(private):
                return await reopen(source, private, place, snapshot, self._environ, self._known, since)
        except OSError as error:
            raise refused_by_machine(error, "use the worktree") from error

    async def forget(
        self,
        task_id: str,
        place: Place,
        *,
        sure: Callable[[], Awaitable[bool]] | None = None,
        given_up: bool = False,
        wanted: bool = False,
    ) -> bool:
        """Remove the snapshots and the private repository of a task that is over; False when undelivered work is there.

        Work is undelivered when the source has no branch with it: a commit on any branch, tag or stash, an uncommitted
        file, a repository inside the worktree. Commits that only a snapshot holds were taken back, and go.

        Args:
            task_id: whose.
            place: as it was written down.
            sure: asked when nobody can begin to use the files any more; False to leave them. For tasks that may be taken
                up again at any moment.
            given_up: see `forgetting.undelivered`.
            wanted: the same.

        Raises:
            WorkspaceError: the machine refused.
        """
        private = private_of(self._home, task_id, place.branch)
        try:
            async with held(private, needed=sure is not None):
                if sure and not await sure():
                    return False
                for directory in (private.worktree, private.repository):
                    await sweep(directory)
                if not private.exists:
                    return not private.worktree_exists and await discard(private.repository)
                return await forget(private, place, self._environ, given_up=given_up, wanted=wanted)
        except OSError as error:
            raise refused_by_machine(error, "remove the task's repository") from error

    async def undelivered(
        self, task_id: str, place: Place, *, given_up: bool = False, wanted: bool = False
    ) -> Undelivered | None:
        """What would be lost with a task's files, see `forgetting.undelivered`. Changes nothing.

        Raises:
            WorkspaceError: the machine refused; it is not known.
        """
        private = private_of(self._home, task_id, place.branch)
        if not private.exists:
            return no_repository(private) if private.worktree_exists else None
        try:
            return await undelivered(private, place, self._environ, given_up=given_up, wanted=wanted)
        except OSError as error:
            raise refused_by_machine(error, "look at the task's repository") from error

    async def remembers(self, task_id: str, place: Place) -> bool:
        """Whether a task's snapshots are still there; not once it was forgotten. Waits for whoever is about to do that."""
        private = private_of(self._home, task_id, place.branch)
        async with held(private):
            return private.exists

    def _private(self, task: Task, branch: str = "") -> Private:
        if not _TASK_ID.fullmatch(task.id):
            raise RepositoryError(f"{task.id!r} cannot be a task's id", fix="use letters and digits")
        return private_of(self._home, task.id, branch or branch_name(task.id, task.prompt))

    async def _check_git(self) -> None:
        async with self._asking:
            if not self._git_is_good:
                await git_version(self._environ)
                self._git_is_good = True

    async def _create(
        self, task: Task, base: str, *, again: bool, origin: tuple[Private, str] | None = None
    ) -> GitWorkspace:
        private = self._private(task)
        await self._check_git()
        try:
            source = await self._open(task.repo)
            reach("workspace.before")
            async with self._room, held(private):
                notes = await clear(source, private) if again else ()
                workspace = await self._make(source, private, base, origin, notes)
        except OSError as error:
            raise refused_by_machine(error, "make a worktree") from error
        reach("workspace.made")
        return workspace

    async def _open(self, repo: str) -> Source:
        address = parse_address(repo)
        if isinstance(address, RemoteUrl):
            return await fetch_mirror(self._home, address, self._environ)
        return await self._known.sources.open(address)

    async def _open_as_it_is(self, repo: str, facts: Facts) -> Source:
        """Open it without asking a remote, nor git if what is known of it still holds."""
        address = parse_address(repo)
        if isinstance(address, RemoteUrl):
            path = mirror_path(self._home, address)
            known = known_source(path, self._environ, facts, place=address.shown) if path.is_dir() else None
            return known or await open_mirror(self._home, address, self._environ)
        if address.is_dir() and (known := known_source(address, self._environ, facts)):
            return known
        source = await open_source_again(address, self._environ)
        if source.missing.parts and facts.common not in {"", str(source.common)}:
            return await open_source(address, self._environ)  # around it is another repository: it does not exist
        return source

    async def _make(
        self,
        source: Source,
        private: Private,
        base: str,
        origin: tuple[Private, str] | None,
        notes: tuple[str, ...],
    ) -> GitWorkspace:
        making = Making(source, private, self._environ, self._known)
        making.notes += notes
        try:
            await making.make(base)
            git = Git(private.repository, agent_environment(self._environ), str(private.repository))
            origin_here = None if origin and origin[1] else making.origin
            workspace = GitWorkspace(
                private, source, making.base.commit, git, making.facts, making.owner, making.watch, origin_here
            )
            if origin and origin[1]:
                async with held(origin[0]):
                    await workspace.take_over(origin[1], origin[0])
            private.made.touch()
        except BaseException:
            await finish(making.undo())
            raise
        return workspace
