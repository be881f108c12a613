"""An index of our own that follows the worktree from one snapshot to the next, so that only what is new costs time."""

import os
import secrets
from pathlib import Path
from typing import Final

import msgspec

from kugetsu.workspace.adding import (
    add_all,
    broken,
    copy_index,
    drop,
    force_add,
    ignored,
    look_at_all,
    new_repositories,
    not_added,
    write_tree,
)
from kugetsu.workspace.git import Git
from kugetsu.workspace.looking import file_mark
from kugetsu.workspace.private import INDEX_PREFIX, Private
from kugetsu.workspace.standing import Mark, mark
from kugetsu.workspace.watching import Origin, Watch

_EMBEDDED: Final = b"adding embedded git repository"
_LARGE: Final = 1000
"""Files from which on a look that may be in vain takes too long: where one was, git is asked each time."""

_RULES: Final = b".gitignore'"


class Followed(msgspec.Struct, frozen=True):
    """What became of the index.

    Attributes:
        changed: False when the files are certainly as they were the last time.
        unsaved: paths that no tree can hold: repositories inside the worktree, and what could not be read.
        complete: whether git took everything in.
    """

    changed: bool
    unsaved: tuple[bytes, ...] = ()
    complete: bool = True


class FollowingIndex:
    """Begins as a copy of the agent's index, and goes on by itself. One for each run of a task: never shared.

    What the agent tells git to look away from is looked at. What the rules ignore is left out, unless the agent has it
    in its own index. As long as everything looks as it did the last time, git is not asked, and the file may not even
    be there.

    Args:
        private: whose worktree.
        git: git, on the worktree.
        watch: looks at it.
        origin: what is known of a worktree that was just made.
    """

    def __init__(self, private: Private, git: Git, watch: Watch, origin: Origin | None = None) -> None:
        self._private = private
        self.path = private.admin / f"{INDEX_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
        self.git = git.at(git.cwd, {"GIT_INDEX_FILE": self.path})
        self._settled = False
        self._agents: Mark = None
        self._exclude: Mark = None
        self._forced: set[bytes] = set()
        self._watch = watch
        self._look = origin.look if origin else None
        self._tree = origin.tree if origin else ""
        self._worth_it = True
        self._untouched = origin.look.index if origin and origin.look else None

    async def keep_up(self, before: str) -> Followed:
        """As `follow`, but git is not asked when nothing has changed.

        Raises:
            RepositoryError, WorkspaceError, OSError: as `follow`.
        """
        known, self._look = self._look, None
        look = await self._watch.look() if self._worth_it else None
        if known and known.proves(look) and (self._tree or self.path.exists()):
            self._look = known
            return Followed(changed=False)
        self._worth_it = look is None or look.entries < _LARGE
        followed = await self.follow(before)
        if look and look.certain and followed.complete:
            self._look = look
        return followed

    def holds(self, tree: str) -> None:
        """What it was brought up to is that tree, and a snapshot keeps it."""
        self._tree = tree

    async def follow(self, before: str, *, rules: bool = True) -> Followed:
        """Bring it up to date with the files. May be called again after it failed or was cut.

        Args:
            before: the commit or tree that is checked out.
            rules: take out what has been ignored since it came in.

        Raises:
            RepositoryError, WorkspaceError: git failed, for example on a full disk.
            OSError: the machine refused.
        """
        self._unlock()
        self._look, self._tree = None, ""
        settled, self._settled = self._settled, False
        begun = self._time()
        fresh = not self.path.exists() or self._sparse
        plain = await self._begin(before) if fresh else True
        done = await add_all(self.git)
        if broken(done):
            fresh, plain = True, False
            self.forget()
            await self.git.run("read-tree", before)
            done = await add_all(self.git)
        unsaved = await not_added(self.git, done)
        changed = rules and await self._keep_to_rules(changed=_RULES in done.stdout)
        if not plain or _EMBEDDED in done.stderr:
            unsaved |= await self._leave_out_repositories(before)
        self._settled = True
        if not done.code:
            self._vouch(begun)
        new = fresh or not settled or changed or bool(done.stdout)
        return Followed(new, tuple(sorted(unsaved)), complete=not (done.code or unsaved))

    async def tree(self, before: str) -> str:
        """The tree of the files as they were when they were last followed.

        Objects that a clean-up of the agent took away, because no snapshot came to hold them, are made again.

        Raises:
            RepositoryError, WorkspaceError: git failed.
            OSError: the machine refused.
        """
        if self._tree:
            return self._tree
        done = await self.git.ask("write-tree")
        if done.code == 0:
            return done.stdout.decode().strip()
        self.forget()
        await self.follow(before)
        return await write_tree(self.git)

    async def start_from(self, tree: str) -> None:
        """Begin with a tree instead of the agent's index.

        Raises:
            RepositoryError, WorkspaceError: git failed.
        """
        self.forget()
        await self.git.run("read-tree", tree)

    def forget(self) -> None:
        """Remove it; it begins anew when it is needed."""
        self._unlock()
        for path in (self.path, Path(f"{self.path}.time")):
            path.unlink(missing_ok=True)
        self._settled, self._forced = False, set()
        self._agents = self._exclude = None
        self._look, self._tree = None, ""

    async def _begin(self, before: str) -> bool:
        """Begin with the agent's index; returns whether that is as it was made."""
        self.forget()
        agents, exclude = self._marks()
        agents_look = file_mark(self._private.index)
        if copy_index(self._private.index, self.path):
            self._agents, self._exclude = agents, exclude
            if agents_look != self._untouched:
                await look_at_all(self.git, missing=not self._sparse)
                return False
            return True
        await self.git.run("read-tree", before)
        return False

    @property
    def _sparse(self) -> bool:
        """Whether the agent asked for a part of the files: then only its own index knows which are left out."""
        return self._private.sparse.exists()

    async def _keep_to_rules(self, *, changed: bool) -> bool:
        """Leave out what is ignored by now, and add what is ignored but the agent added; whether that changed it."""
        agents, exclude = self._marks()
        changed = changed or exclude != self._exclude
        if agents == self._agents and not changed:
            return False
        wanted = await ignored(self.git.at(self.git.cwd, {"GIT_INDEX_FILE": self._private.index}))
        if wanted is None:  # damaged, and for the agent to repair
            return False
        unwanted = (await ignored(self.git) or set()) - wanted if changed else set()
        if unwanted:
            await drop(self.git, unwanted)
        added = await force_add(self.git, wanted - self._forced)
        self._agents, self._exclude, self._forced = agents, exclude, wanted
        return added or bool(unwanted)

    def _marks(self) -> tuple[Mark, Mark]:
        return mark(self._private.index), mark(self._private.repository / "info" / "exclude")

    async def _leave_out_repositories(self, before: str) -> set[bytes]:
        listed = await self.git.run("diff-index", "--cached", "--raw", "-z", "--no-renames", before)
        inner = new_repositories(listed)
        if inner:
            await drop(self.git, inner)
        return inner

    def _vouch(self, when: int) -> None:
        """Say that all files were looked at, at a time, so that git does not read those again that were young before.

        git itself takes the time at which an index was written, and it is not written when nothing has changed.
        """
        if self.path.stat().st_mtime_ns < when:
            os.utime(self.path, ns=(when, when))

    def _time(self) -> int:
        """The time as it stands in files that are written now: it may differ from the clock of this process."""
        stamp = Path(f"{self.path}.time")
        stamp.touch()
        return stamp.stat().st_mtime_ns

    def _unlock(self) -> None:
        """Remove the lock of a git of ours that was ended; nobody else uses this index."""
        Path(f"{self.path}.lock").unlink(missing_ok=True)
