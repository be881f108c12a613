"""Snapshots of a task: commits of everything in its worktree, turn by turn.

A snapshot's first parent is what the agent had checked out; its message says where HEAD and the branch stood, see
`standing`. `refs/kugetsu/<task>/<turn>` in the private repository keeps it.

Of a task's snapshots the newest 100 stay, and of the older ones those that the worktree was still at after a turn whose
number ends in 0. What goes is the name; the space comes back with the repository, or when git cleans up there.
"""

import asyncio
import re
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Final

import msgspec

from kugetsu.errors import KugetsuError, WorkspaceError
from kugetsu.workspace.durable import write_commit, write_ref
from kugetsu.workspace.following import Followed, FollowingIndex
from kugetsu.workspace.git import Git
from kugetsu.workspace.owner import Owner
from kugetsu.workspace.private import Private
from kugetsu.workspace.standing import Lookout, Standing, sparse_in, sparse_now, standing_in, turn_in
from kugetsu.workspace.wording import printable

NEWEST_KEPT: Final = 100
EVERY_KEPT: Final = 10
"""How many turns older snapshots are apart."""

_PRUNED_AFTER: Final = 50
"""How many snapshots are made before it is looked whether some can go."""

BEFORE_RESTORE: Final = "before-restore"
"""Name of what was there before a worktree was put back."""

ORIGIN: Final = "origin"
"""Name of what a fork began with."""

_COMMIT_ID: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_AUTHOR: Final = b"Kugetsu <kugetsu@localhost>"


class Kept(msgspec.Struct, frozen=True):
    """A snapshot.

    Attributes:
        id: the commit; empty for the base of the task.
        tree: the files.
        standing: what was checked out.
        unsaved: paths of the worktree that it does not hold; known only to whoever made it.
        turn: the one it was made after; known only to whoever found it, and None for what is of no turn.
        sparse: which files were checked out, see `sparse_in`; known only to whoever found it.
    """

    id: str
    tree: str
    standing: Standing
    unsaved: tuple[bytes, ...] = ()
    turn: int | None = None
    sparse: str = ""


def folder(task_id: str) -> str:
    """Where in the private repository a task's snapshots are named."""
    return f"refs/kugetsu/{task_id}"


async def find_snapshot(git: Git, commit: str) -> Kept | None:
    """Read a snapshot; None when there is no such commit, or it is no snapshot.

    Raises:
        RepositoryError, WorkspaceError: git failed, so it is not known.
    """
    if not _COMMIT_ID.fullmatch(commit):
        return None
    # A commit that is missing is an answer to it, and no failure as it is for `git cat-file commit`.
    printed = await git.run("cat-file", "--batch", stdin=f"{commit}\n".encode())
    about, _, contents = printed.partition(b"\n")
    head, _, message = contents.partition(b"\n\n")
    standing = standing_in(message) if b" commit " in about else None
    if standing is None:
        return None
    return Kept(
        commit,
        head.partition(b"\n")[0].removeprefix(b"tree ").decode(),
        standing,
        turn=turn_in(message),
        sparse=sparse_in(message),
    )


async def newest_tree(git: Git, task_id: str) -> str:
    """The files in the snapshot that was made last; empty when there is none.

    Raises:
        RepositoryError, WorkspaceError: git failed.
    """
    made = await _in_order(git, folder(task_id))
    return made[-1].tree if made else ""


class _Name(msgspec.Struct, frozen=True):
    """The name of a snapshot."""

    turn: int
    commit: str
    tree: str


async def _in_order(git: Git, where: str) -> list[_Name]:
    """The snapshots of turns, in the order in which they were made."""
    options = ("--sort=version:refname", "--sort=creatordate", "--format=%(refname:lstrip=3) %(objectname) %(tree)")
    listed = [line.split() for line in (await git.run("for-each-ref", *options, where)).decode().splitlines()]
    return [_Name(int(line[0]), *line[1:]) for line in listed if line[0].isdigit()]


async def snapshot_names(git: Git, task_id: str, until: Kept) -> dict[str, str]:
    """The turn and the commit of each snapshot that is there, those of turns after the given one left out.

    Raises:
        RepositoryError, WorkspaceError: git failed.
    """
    made = await _in_order(git, folder(task_id))
    last = until.turn
    return {str(name.turn): name.commit for name in made if last is None or name.turn <= last}


async def newest_stamp(git: Git, task_id: str) -> int:
    """When the last snapshot was made, in seconds since the epoch, by the clock of that time; 0 without one.

    Raises:
        RepositoryError, WorkspaceError: git failed.
    """
    options = ("--sort=-creatordate", "--count=1", "--format=%(creatordate:unix)")
    return int(await git.run("for-each-ref", *options, folder(task_id)) or b"0")


class Snapshots:
    """Makes the snapshots of one workspace.

    Args:
        private: whose.
        git: git, bound to the worktree and run in the private repository.
        base: what counts as checked out when nothing is.
        owner: asked before anything is named.
        lookout: finds out what is checked out.
        index: follows the worktree.
        first: whether there are none yet.
    """

    def __init__(
        self,
        private: Private,
        git: Git,
        base: str,
        owner: Owner,
        lookout: Lookout,
        index: FollowingIndex,
        *,
        first: bool = False,
    ) -> None:
        self._private = private
        self._git = git
        self._task_id = private.task_id
        self._folder = folder(private.task_id)
        self._stamp = 0 if first else None
        self._base = base
        self._owner = owner
        self._lookout = lookout
        self._made = 0
        self.index = index
        self._last: Kept | None = None
        self._dirty = True

    async def take(self, turn: int) -> Kept:
        """Keep everything as it is now; the last snapshot again when nothing has changed since it was made.

        Raises:
            RepositoryError, WorkspaceError: git failed.
            OSError: the machine refused.
            LeaseLostError: another process has the worktree.
        """
        self._check_worktree()
        standing, before = await self.standing()
        followed = await self.index.keep_up(before)
        self._dirty = self._dirty or followed.changed
        last = self._last if self._last and self._last.standing == standing else None
        if last and not self._dirty:
            return msgspec.structs.replace(last, unsaved=followed.unsaved)
        tree = await self.index.tree(before)
        if last and tree == last.tree:
            self._dirty = False
            return msgspec.structs.replace(last, unsaved=followed.unsaved)
        self._owner.check()
        kept = await self.keep(str(turn), tree, standing)
        self.adopt(kept)
        self.index.holds(tree)
        self._made += 1
        if self._made % _PRUNED_AFTER == 0:
            with suppress(KugetsuError):  # then it is done the next time
                await self._prune()
        return msgspec.structs.replace(kept, unsaved=followed.unsaved)

    def adopt(self, kept: Kept | None) -> None:
        """The index is at a snapshot, or, for None, at something that is none."""
        self._last, self._dirty = kept, False

    async def follow(self, *, rules: bool = True) -> tuple[Standing, str, Followed]:
        """Bring the index up to date, see `FollowingIndex.follow`.

        Returns:
            What is checked out, as it stands and as a commit, and what was found.
        """
        self._check_worktree()
        standing, before = await self.standing()
        followed = await self.index.follow(before, rules=rules)
        self._dirty = self._dirty or followed.changed
        return standing, before, followed

    def _check_worktree(self) -> None:
        if not self._private.worktree_exists:
            raise WorkspaceError(f"the worktree {printable(self._private.worktree)} was removed")

    async def standing(self) -> tuple[Standing, str]:
        """Where the repository stands, and the commit that counts as checked out."""
        standing = await self._lookout.look()
        return standing, standing.commit or standing.branch or self._base

    async def keep(self, name: str, tree: str, standing: Standing, *, also: Iterable[str] = ()) -> Kept:
        """Make the commit, and let a name keep it.

        Args:
            name: the turn, or what else it is called.
            tree: the files.
            standing: what is checked out.
            also: more commits that it is to keep.
        """
        parents = dict.fromkeys((*standing.parents, *also))
        stamp = b"%s %d +0000" % (_AUTHOR, await self._time())
        lines = [
            b"tree " + tree.encode(),
            *(b"parent " + parent.encode() for parent in parents),
            b"author " + stamp,
            b"committer " + stamp,
            b"",
            standing.message(name, sparse_now(self._private)),
        ]
        repository = self._private.repository
        commit = await asyncio.to_thread(write_commit, repository, b"\n".join(lines))
        await asyncio.to_thread(write_ref, repository, f"{self._folder}/{name}", commit)
        return Kept(commit, tree, standing)

    async def _time(self) -> int:
        """Seconds since the epoch, but never earlier than the snapshot before: a clock may be set back."""
        if self._stamp is None:
            self._stamp = await newest_stamp(self._git, self._task_id)
        now = int(time.time())
        self._stamp = now if now >= self._stamp else self._stamp + 1
        return self._stamp

    async def _prune(self) -> None:
        """Take the names away of snapshots that need not stay."""
        made = await _in_order(self._git, self._folder)
        turns = [name.turn for name in made if not (self._last and name.commit == self._last.id)]
        commands = b"".join(f"delete {self._folder}/{turn}\n".encode() for turn in superfluous(turns))
        if commands:
            await self._git.run("update-ref", "--stdin", stdin=commands)


def superfluous(turns: Sequence[int]) -> list[int]:
    """Which snapshots need not stay, by the rule of this module.

    Args:
        turns: for each snapshot the turn it was made after, in the order in which they were made. Each serves that turn
            and those that follow, up to the next snapshot; where a task was put back the numbers begin again lower.
    """
    older = len(turns) - NEWEST_KEPT
    return [
        turn for turn, following in pairwise(turns[: max(older + 1, 0)]) if _next_kept(turn) >= max(following, turn + 1)
    ]


def _next_kept(turn: int) -> int:
    """The next turn, or this one, after which an older snapshot stays."""
    return -(-turn // EVERY_KEPT) * EVERY_KEPT
