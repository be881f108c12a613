"""Making the worktree of one task; and unmaking it when that fails half-way."""

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kugetsu.concurrency import finish, first_error
from kugetsu.errors import RepositoryError, WorkspaceError
from kugetsu.workspace.bare import Bare
from kugetsu.workspace.base import Base, resolve_base
from kugetsu.workspace.boot import Boot
from kugetsu.workspace.contents import contents_notes
from kugetsu.workspace.delivery import DELIVERED
from kugetsu.workspace.discarding import discard
from kugetsu.workspace.durable import flush, write_ref
from kugetsu.workspace.facts import Facts
from kugetsu.workspace.git import Git, agent_environment
from kugetsu.workspace.inherited import Config, config_text, identity
from kugetsu.workspace.looking import Look
from kugetsu.workspace.owner import Owner
from kugetsu.workspace.private import Private, fill, reserve
from kugetsu.workspace.reading import tags_in
from kugetsu.workspace.references import references_mark
from kugetsu.workspace.rules import RuleBook
from kugetsu.workspace.source import Source
from kugetsu.workspace.sources import Sources
from kugetsu.workspace.state import MARKER, environment, marker_of
from kugetsu.workspace.watching import Origin, watch_of

_TICK: Final = 0.006
"""Seconds in which the clock of a file system goes on: mostly 4 milliseconds."""


class Known:
    """What one program finds out once for many tasks.

    Args:
        environ: the user's environment.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.book = RuleBook(environ)
        self.sources = Sources(environ, self.book)
        self.bare = Bare(self.book)


class Making:
    """One worktree under construction. After an error or a cancel `undo` takes back what was done."""

    def __init__(self, source: Source, private: Private, environ: Mapping[str, str], known: Known) -> None:
        self._source = source
        self._known = known
        self._private = private
        self._environ = environ
        marked = {**agent_environment(environ), MARKER: marker_of(private)}
        self._git = Git(private.repository, marked, source.place)
        self._made: list[Path] = []
        self.watch = watch_of(private, self._git.at(private.repository, environment(private)), known.book)
        self.owner = Owner(private.repository)
        self._branch_at = ""
        self.base = Base("")
        self.config = Config({})
        self.notes: list[str] = []
        self.origin: Origin | None = None

    @property
    def facts(self) -> Facts:
        """What is known of it, when it is made."""
        return Facts(
            rules=self._private.rules,
            identity=identity(self.config, self._environ),
            notes=tuple(self.notes),
            common=str(self._source.common),
            object_format=self._source.object_format,
            shallow=self._source.shallow,
            checkout=self._source.checkout,
        )

    async def make(self, wanted: str) -> None:
        """Do it all.

        Args:
            wanted: the base, as the user named it.

        Raises:
            RepositoryError: the repository or the base cannot be used.
            WorkspaceError: the machine refused.
            LeaseLostError: another process makes it too.
        """
        for directory in (self._private.repository, self._private.worktree):
            reserve(directory)
            self._made.append(directory)
            self.owner.claim()
        tags = await self._gather(wanted)
        self.owner.check()
        fill(self._private, self._source.common, self.base, tags, config_text(self.config))
        Boot(self._private.repository).note(durably=False)
        with first_error():
            async with asyncio.TaskGroup() as group:
                group.create_task(finish(self._create_branch()))
                group.create_task(self._check_out())
                # What the task's place stands on survives a power cut; the files can be put back.
                group.create_task(asyncio.to_thread(flush, self._private.repository))
        look = await self._first_look()
        git = self._git.at(self._private.worktree, self._variables)
        self.notes += await contents_notes(self._private, git, self.config, look.attributes if look else None)
        refs = await asyncio.to_thread(references_mark, self._private)
        self.origin = Origin(self.base.commit, self.base.tree, look if look and look.certain else None, refs)

    async def undo(self) -> None:
        """Remove what was made, the branch in the source included. Raises nothing."""
        if not self.owner.holds:
            return
        if self._branch_at:
            # Only if it still is where it was made. There is no more to be done when git cannot be started.
            with contextlib.suppress(WorkspaceError):
                await self._source.store.ask("update-ref", "-d", self._ref, self._branch_at)
        for directory in reversed(self._made):
            await discard(directory)

    async def make_around(self, tip: str, *, delivered: bool) -> None:
        """Make a repository for work that was delivered, or for a worktree whose repository is gone.

        Args:
            tip: what is checked out, a commit of the source.
            delivered: whether it is that of the task's branch there.

        Raises:
            RepositoryError, WorkspaceError: as for `make`.
        """
        reserve(self._private.repository)
        self._made.append(self._private.repository)
        self._private.unfinished.touch()
        self.owner.claim()
        self.config = await self._source.config()
        await self._init()
        tags = await self._source.store.run("for-each-ref", "--format=%(objectname) %(refname)", "refs/tags")
        fill(self._private, self._source.common, Base(tip), tags, config_text(self.config))
        git = self._git.at(self._private.repository, environment(self._private))
        await git.at(git.cwd, {"GIT_INDEX_FILE": self._private.index}).run("read-tree", "HEAD")
        if delivered:
            write_ref(self._private.repository, DELIVERED, tip)
        self._private.unfinished.unlink()

    @property
    def _ref(self) -> str:
        return f"refs/heads/{self._private.branch}"

    async def _gather(self, wanted: str) -> bytes:
        """Everything that has to be known of the source, all at once; returns its tags."""
        source = self._source
        with first_error():
            async with asyncio.TaskGroup() as group:
                base = group.create_task(resolve_base(source, wanted))
                config = group.create_task(self._known.sources.config(source))
                refs = group.create_task(self._refs())
                dirty = group.create_task(self._known.sources.dirty(source))
                group.create_task(self._init())
        self.base, self.config = base.result(), config.result()
        if dirty.result():
            self.notes.append(f"Uncommitted work in {source.place} is not part of the base.")
        elif dirty.result() is None:
            self.notes.append(f"Uncommitted work in {source.place}, if there is any, is not part of the base.")
        return refs.result()

    async def _init(self) -> None:
        await self._known.bare.make(self._git, self._private.repository, self._source.object_format)

    async def _refs(self) -> bytes:
        """The source's tags; an error when it has the task's branch already."""
        tags = await asyncio.to_thread(tags_in, self._source.common)
        if tags is not None:  # whether the branch is there is seen when it is created
            return tags
        listed = await self._source.store.run(
            "for-each-ref", "--format=%(objectname) %(refname)", "refs/tags", self._ref
        )
        lines = listed.splitlines()
        if any(line.endswith(b" " + self._ref.encode()) for line in lines):
            raise _there_already(self._source.store, self._private.branch)
        return b"\n".join(line for line in lines if b" refs/tags/" in line)

    async def _create_branch(self) -> None:
        """Create the branch in the source: now, so that a repository that does not take it is found out before work."""
        base = self.base.commit
        git = self._source.store.at(self._source.common, identity(self.config, self._environ))
        done = await git.ask("update-ref", "-m", "branch: created by Kugetsu", self._ref, base, "")
        if done.code == 0:
            self._branch_at = base
        else:
            raise _not_created(git, done.stderr, self._private.branch) or git.failure(done, "update-ref")

    async def _check_out(self) -> None:
        git = self._git.at(self._private.worktree, self._variables)
        await git.run("read-tree", "-m", "-u", "HEAD")

    @property
    def _variables(self) -> dict[str, str | Path]:
        return {**environment(self._private), "GIT_INDEX_FILE": self._private.index}

    async def _first_look(self) -> Look | None:
        """How the worktree looks to which nothing was done yet; when its files are too young, after a tick of the clock."""
        look = await self.watch.look()
        if look is None or look.certain:
            return look
        await asyncio.sleep(_TICK)
        return await self.watch.look()


def _there_already(git: Git, branch: str) -> RepositoryError:
    return RepositoryError(
        f"{git.place} has a branch {branch} already", fix=f"remove it with `git branch -D {branch}`, if nobody needs it"
    )


def _not_created(git: Git, printed: bytes, branch: str) -> RepositoryError | None:
    """The error for a branch that is there, or whose name clashes with another's: `a` and `a/b` cannot both be."""
    if b"reference already exists" in printed:
        return _there_already(git, branch)
    prefix = branch.partition("/")[0]
    if f"'refs/heads/{prefix}' exists".encode() not in printed:
        return None
    return RepositoryError(
        f"{git.place} has a branch named {prefix}, so it cannot have {branch}",
        fix=f"rename it, for example: git branch -m {prefix} {prefix}-old",
    )
