"""Putting a worktree back to a snapshot: its files, what is checked out, the branches.

What was there before is kept under `refs/kugetsu/<task>/before-restore` until the next time. Ignored files stay. Where
something stands in the way that no snapshot can hold (a repository of its own, a directory where a file belongs, a file
that cannot be read), it is moved into `kugetsu-aside` in the private repository; elsewhere repositories are left alone.
"""

import asyncio
import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from kugetsu.concurrency import finish
from kugetsu.failpoints import reach
from kugetsu.workspace.adding import GITLINK, copy_index, force_add, look_at_all, names_in, raw_changes
from kugetsu.workspace.closed import closed_folders, open_folder
from kugetsu.workspace.commit import OF_A_MERGE
from kugetsu.workspace.durable import replace_file
from kugetsu.workspace.git import Git
from kugetsu.workspace.owner import Owner
from kugetsu.workspace.private import INDEX_PREFIX, Private, link_worktree
from kugetsu.workspace.snapshots import BEFORE_RESTORE, Kept, Snapshots, folder
from kugetsu.workspace.stale import remove_locks
from kugetsu.workspace.standing import Standing, sparse_now

_BEGUN: Final = (
    *OF_A_MERGE,
    *(f"BISECT_{name}" for name in ("ANCESTORS_OK", "EXPECTED_REV", "HEAD", "LOG", "NAMES", "RUN", "START", "TERMS")),
    "REBASE_HEAD",
    "rebase-apply",
    "rebase-merge",
    "sequencer",
)
"""What git keeps of anything that it has begun and not ended."""

_MARK: Final = "kugetsu-restoring"
ASIDE: Final = "kugetsu-aside"
"""A directory in the private repository: what stood in the way of a snapshot, and no commit can hold."""


class _Way(msgspec.Struct, frozen=True):
    """What stands where files of a snapshot belong.

    Attributes:
        hidden: files and links that a commit can hold, though the rules ignore them.
        aside: what no commit can hold.
    """

    hidden: set[bytes]
    aside: set[bytes]


class Restoring:
    """Puts one worktree back.

    Args:
        private: whose.
        git: git, bound to the worktree and run in the private repository.
        task_id: of the task.
        snapshots: of the workspace.
        owner: asked before anything is changed.
    """

    def __init__(self, private: Private, git: Git, task_id: str, snapshots: Snapshots, owner: Owner) -> None:
        self._private = private
        self._git = git
        self._folder = folder(task_id)
        self._snapshots = snapshots
        self._owner = owner
        self._mark = private.repository / _MARK

    async def restore(self, target: Kept) -> tuple[str, ...]:
        """Put everything back. When it was cut, calling it again completes it, for the same snapshot or for another.

        Returns:
            Where what stood in the way was moved to.

        Raises:
            RepositoryError, WorkspaceError: git failed.
            OSError: the machine refused.
            LeaseLostError: another process has the worktree.
        """
        self._owner.check()
        await asyncio.to_thread(remove_locks, self._private.repository)
        await self._open_folders()
        link_worktree(self._private)
        if self.interrupted is None and not self._private.worktree_exists:
            await self._keep_commits(target)
        await asyncio.to_thread(self._make_worktree)
        clashing = await self._clashing(target.standing)
        way = await self._keep_before(target, clashing)
        reach("restore.before")
        self._owner.check()
        moved = await finish(self._put_back(target, way.aside, clashing))
        reach("restore.after")
        return moved

    @property
    def interrupted(self) -> str | None:
        """The snapshot that an earlier process was putting back when it was killed, empty for the base; else None."""
        try:
            return self._mark.read_bytes().decode(errors="replace")
        except FileNotFoundError:
            return None

    def forget_mark(self) -> None:
        """Work goes on: what is there now is no longer something half put back."""
        self._mark.unlink(missing_ok=True)

    def _make_worktree(self) -> None:
        if not self._private.worktree_exists:
            self._private.worktree.unlink(missing_ok=True)
            self._private.worktree.mkdir(mode=0o700, parents=True)
        link_worktree(self._private)

    async def _keep_commits(self, target: Kept) -> None:
        """Keep what is checked out where there are no files. From here on an empty worktree is known as unfinished."""
        standing, before = await self._snapshots.standing()
        [tree] = await self._git.resolve(f"{before}^{{tree}}")
        await self._keep(target, tree, standing)

    async def _open_folders(self) -> None:
        """Let us into the folders of the worktree that were made read-only or unreadable; ignored ones are left."""
        worktree = self._private.worktree
        closed = await asyncio.to_thread(closed_folders, worktree) if self._private.worktree_exists else []
        while closed:
            git = self._git.at(worktree, {"GIT_INDEX_FILE": self._private.index})
            names = b"".join(os.fsencode(path.relative_to(worktree)) + b"\0" for path in closed if path != worktree)
            done = await git.ask("check-ignore", "-z", "--stdin", stdin=names)
            ignored = {worktree / os.fsdecode(name) for name in names_in(done.stdout)}
            for path in (opened := [path for path in closed if path not in ignored]):
                await asyncio.to_thread(open_folder, path)
            closed = [path for top in opened for path in await asyncio.to_thread(closed_folders, top)]

    async def _clashing(self, wanted: Standing) -> dict[bytes, str]:
        """Branches, with their commits, that cannot be beside those to be put back: `a` and `a/b` cannot both be."""
        names = [name for name, commit in self._branches(wanted).items() if commit]
        listed = await self._git.run("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads")
        there = (line.partition(b" ")[::2] for line in listed.splitlines())
        return {name: commit.decode() for commit, name in there if any(_clash(name, other) for other in names)}

    async def _keep_before(self, target: Kept, clashing: dict[bytes, str]) -> _Way:
        """Keep what is there; not again when an earlier attempt was cut, for then it is half of each."""
        index, again = self._snapshots.index, self.interrupted is not None
        if again:
            await index.start_from(f"{self._folder}/{BEFORE_RESTORE}^{{tree}}")
        standing, before, followed = await self._snapshots.follow(rules=not again)
        way = await self._in_the_way(target.tree, {*followed.unsaved})
        if not again:
            await force_add(index.git, way.hidden)
            tree = await index.tree(before)
            if clashing or (tree, standing) != (target.tree, target.standing):  # else that is known already
                await self._keep(target, tree, standing, clashing.values())
        elif self.interrupted != target.id:
            await asyncio.to_thread(replace_file, self._mark, target.id.encode())
        return way

    async def _keep(self, target: Kept, tree: str, standing: Standing, also: Iterable[str] = ()) -> None:
        head = os.fsdecode(target.standing.head)
        tips = await self._git.resolve(f"{head}^{{commit}}") if head else []
        await self._snapshots.keep(BEFORE_RESTORE, tree, standing, also=[*filter(None, tips), *also])
        await asyncio.to_thread(replace_file, self._mark, target.id.encode())

    async def _in_the_way(self, tree: str, unsaved: set[bytes]) -> _Way:
        listed = await self._snapshots.index.git.run("diff-index", "--cached", "--raw", "-z", "--no-renames", tree)
        # In the order of `diff-index`, the mode in the tree comes first.
        wanted = {path: mode for mode, _, path in raw_changes(listed) if int(mode, 8)}
        return await asyncio.to_thread(_obstacles, self._private.worktree, wanted, unsaved)

    def _move_aside(self, names: set[bytes]) -> tuple[str, ...]:
        if not names:
            return ()
        place = self._private.repository / ASIDE / secrets.token_hex(4)
        for name in sorted(names):
            here = self._private.worktree / os.fsdecode(name)
            if os.path.lexists(here):
                there = place / os.fsdecode(name)
                there.parent.mkdir(parents=True, exist_ok=True)
                if _kind(os.fsencode(here)) == "folder":
                    open_folder(here)
                shutil.move(here, there)
        return (str(place),)

    async def _put_back(self, target: Kept, aside: set[bytes], clashing: dict[bytes, str]) -> tuple[str, ...]:
        moved = await asyncio.to_thread(self._move_aside, aside)
        index = self._snapshots.index
        if sparse_now(self._private) not in {"", target.sparse}:
            self._private.sparse.unlink(missing_ok=True)  # without it git checks everything out
            await look_at_all(index.git, missing=True)
        await index.git.run("-c", "core.sparseCheckout=false", "read-tree", "--reset", "-u", target.tree)
        await self._move_branches(target, clashing)
        await self._renew_index(target)
        await asyncio.to_thread(_end_what_was_begun, self._private.admin)
        self._snapshots.adopt(target if target.id else None)
        self.forget_mark()
        return moved

    def _branches(self, standing: Standing) -> dict[bytes, str]:
        """The branches that are put back, with their commits; none for one that goes."""
        own = os.fsencode(f"refs/heads/{self._private.branch}")
        return {own: standing.branch} | ({standing.head: standing.commit} if standing.head else {})

    async def _move_branches(self, target: Kept, clashing: dict[bytes, str]) -> None:
        standing = target.standing
        for commits in (dict.fromkeys(clashing, ""), self._branches(standing)):  # git does not do it in one
            commands = b"".join(_command(name, commit) for name, commit in commits.items())
            if commands:
                await self._git.run("update-ref", "-m", "kugetsu: restore", "--stdin", "-z", stdin=commands)
        head = b"ref: " + standing.head if standing.head else standing.commit.encode()
        await asyncio.to_thread(replace_file, self._private.admin / "HEAD", head + b"\n")

    async def _renew_index(self, target: Kept) -> None:
        """Let the agent's index be what is checked out: what the snapshot holds beyond that counts as not yet added."""
        fresh = self._private.admin / f"{INDEX_PREFIX}{secrets.token_hex(4)}"
        try:
            copy_index(self._snapshots.index.path, fresh)
            git = self._snapshots.index.git.at(self._private.worktree, {"GIT_INDEX_FILE": fresh})
            what = ("-m", target.standing.commit) if target.standing.commit else ("--empty",)
            await git.run("read-tree", *what)
            fresh.replace(self._private.index)
        finally:
            fresh.unlink(missing_ok=True)


def _clash(one: bytes, other: bytes) -> bool:
    return one.startswith(other + b"/") or other.startswith(one + b"/")


def _command(ref: bytes, commit: str) -> bytes:
    """A line for `git update-ref --stdin -z`."""
    return b"update %b\0%b\0\0" % (ref, commit.encode()) if commit else b"delete %b\0\0" % ref


def _end_what_was_begun(admin: Path) -> None:
    for name in _BEGUN:
        path = admin / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _obstacles(worktree: Path, wanted: dict[bytes, bytes], unsaved: set[bytes]) -> _Way:
    """Find what stands where files belong.

    Args:
        worktree: where.
        wanted: the paths, and the mode of each.
        unsaved: what no commit could hold.
    """
    top = os.fsencode(worktree) + b"/"
    hidden, aside, free = set[bytes](), set[bytes](), set[bytes]()
    lost = {name.rstrip(b"/") for name in unsaved}
    for path, mode in wanted.items():
        for place in _with_parents(path):
            kind = "folder" if place in free else _kind(top + place)
            in_its_place = place != path or mode == GITLINK
            if kind and ((kind == "folder" and not in_its_place) or (place in lost and mode != GITLINK)):
                aside.add(place)
            elif kind == "file":
                hidden.add(place)
            elif kind and place != path:
                free.add(place)
                continue
            break
    return _Way(hidden, aside)


def _with_parents(path: bytes) -> Iterator[bytes]:
    """The folders that a path is in, outermost first, and the path itself."""
    end = path.find(b"/")
    while end >= 0:
        yield path[:end]
        end = path.find(b"/", end + 1)
    yield path


def _kind(path: bytes) -> str:
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return ""
    return "folder" if stat.S_ISDIR(mode) else "file"
