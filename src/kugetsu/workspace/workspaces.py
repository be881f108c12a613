"""Making workspaces: from a task to a worktree."""

import asyncio
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kugetsu.concurrency import finish
from kugetsu.errors import RepositoryError
from kugetsu.tasks import Task, branch_name
from kugetsu.workspace.address import RemoteUrl, parse_address
from kugetsu.workspace.failures import refused_by_machine
from kugetsu.workspace.git import Git, agent_environment
from kugetsu.workspace.making import Making
from kugetsu.workspace.mirror import fetch_mirror
from kugetsu.workspace.private import Private, private_of
from kugetsu.workspace.source import Source, open_source
from kugetsu.workspace.version import git_version
from kugetsu.workspace.workspace import GitWorkspace

_AT_ONCE: Final = 8
"""Worktrees made at the same time; each takes a handful of git processes, so more would only crowd the machine."""

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

    async def create(self, task: Task) -> GitWorkspace:
        """Make the worktree of a task from its repository and base.

        The user's working tree, index, branches and stash are never touched; one new branch appears in the repository.
        When it fails or is cancelled it leaves nothing behind.

        Raises:
            RepositoryError: the repository or base cannot be used; the message says why.
            WorkspaceError: the machine refused: git is missing or too old, the disk is full, no permission.
        """
        if not _TASK_ID.fullmatch(task.id):
            raise RepositoryError(f"{task.id!r} cannot be a task's id", fix="use letters and digits")
        private = private_of(self._home, task.id, branch_name(task.id, task.prompt))
        if not self._git_is_good:
            await git_version(self._environ)
            self._git_is_good = True
        try:
            source = await self._open(task.repo)
            async with self._room:
                return await self._make(source, private, task.base)
        except OSError as error:
            raise refused_by_machine(error, "make a worktree") from error

    async def _open(self, repo: str) -> Source:
        address = parse_address(repo)
        if isinstance(address, RemoteUrl):
            return await fetch_mirror(self._home, address, self._environ)
        return await open_source(address, self._environ)

    async def _make(self, source: Source, private: Private, base: str) -> GitWorkspace:
        making = Making(source, private, self._environ)
        try:
            await making.make(base)
        except BaseException:
            await finish(making.undo())
            raise
        return GitWorkspace(
            private,
            source,
            making.base.commit,
            Git(private.repository, agent_environment(self._environ), str(private.repository)),
            making.identity,
            notes=tuple(making.notes),
        )
