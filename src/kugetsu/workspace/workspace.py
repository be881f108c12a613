"""One task's worktree, from its first file to its delivery."""

import asyncio
import contextlib
import os
import shlex
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

from kugetsu.concurrency import finish
from kugetsu.errors import LeaseLostError, RepositoryError, WorkspaceError
from kugetsu.failpoints import reach
from kugetsu.tasks import Changes, Place
from kugetsu.workspace.boot import Boot
from kugetsu.workspace.changes import Difference, commits_between, difference
from kugetsu.workspace.closing import (
    CLOSED,
    all_but_snapshots,
    clean,
    has_unknown_commits,
    inner_repositories,
    other_work,
    removable,
)
from kugetsu.workspace.commit import commit_result
from kugetsu.workspace.delivery import DELIVERED, TIP, branch_in, deliver
from kugetsu.workspace.discarding import discard
from kugetsu.workspace.durable import read_refs, write_ref
from kugetsu.workspace.facts import Facts
from kugetsu.workspace.failures import refused_by_machine
from kugetsu.workspace.following import FollowingIndex
from kugetsu.workspace.git import Git
from kugetsu.workspace.inheriting import inherit, on_own_branch, pruned
from kugetsu.workspace.owner import Owner
from kugetsu.workspace.private import Private, link_worktree
from kugetsu.workspace.references import free_branch_at, references_mark
from kugetsu.workspace.restoring import Restoring
from kugetsu.workspace.result import Result, result
from kugetsu.workspace.settled import Settled
from kugetsu.workspace.snapshots import ORIGIN, Kept, Snapshots, find_snapshot, folder
from kugetsu.workspace.source import Source
from kugetsu.workspace.standing import Lookout, Standing
from kugetsu.workspace.state import State, environment, read_state
from kugetsu.workspace.submodules import submodules_with_commits
from kugetsu.workspace.watching import Origin, Watch
from kugetsu.workspace.wording import printable


class GitWorkspace:
    """A worktree of a private repository that borrows the source's objects. Made by `GitWorkspaces.create`.

    Args:
        private: where its files are.
        source: where the work comes from and goes to.
        base: full id of the commit it starts from.
        git: git, with the environment of agents.
        facts: what was known when it was made.
        owner: asked before anything is changed.
        watch: looks at the worktree.
        origin: what is known of a worktree that was just made.
    """

    def __init__(
        self,
        private: Private,
        source: Source,
        base: str,
        git: Git,
        facts: Facts,
        owner: Owner,
        watch: Watch,
        origin: Origin | None = None,
    ) -> None:
        self._private = private
        self._source = source
        self._base = base
        self._git = git.at(private.repository, environment(private))
        self._facts = facts
        self._notes = dict.fromkeys(facts.notes)
        self._delivered = base
        self._owner = owner
        self._boot = Boot(private.repository)
        self._watch = watch
        self._settled = Settled(private, watch, origin)
        self._references = origin.refs if origin else b""
        self._lookout = Lookout(private, self._git)
        if origin:
            self._lookout.learn(origin.commit, origin.tree)
        index = FollowingIndex(private, self._files, watch, origin)
        self._snapshots = Snapshots(private, self._git, base, owner, self._lookout, index, first=origin is not None)
        self._restoring = Restoring(private, self._git, private.task_id, self._snapshots, owner)

    @property
    def path(self) -> Path:
        """The worktree's directory."""
        return self._private.worktree

    @property
    def directory(self) -> Path:
        """The directory of the worktree that the user named: its top, or the same subdirectory as in the repository."""
        named = self.path / self._subdirectory
        return named if named.is_dir() else self.path

    @cached_property
    def _subdirectory(self) -> Path:
        return self._source.subdirectory

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
        return {**self._facts.identity, "GIT_CEILING_DIRECTORIES": str(self._private.worktree.parent)}

    @property
    def place(self) -> Place:
        """Where it is, for `GitWorkspaces.reopen`."""
        return Place(base=self._base, branch=self.branch, path=str(self.path), details=self._facts.details())

    @property
    def lost_power(self) -> bool:
        """Whether the machine went down since the worktree was last made, kept or put back."""
        return self._boot.changed

    async def holds(self, snapshot: str) -> bool:
        """Whether the worktree could be put back to a snapshot; see `protocols.Workspace`.

        Raises:
            WorkspaceError: git failed.
        """
        with _workspace_errors():
            if not snapshot or not self._private.exists:
                return not snapshot
            return await find_snapshot(self._git, snapshot) is not None

    async def snapshot(self, turn: int) -> str:
        """Keep the worktree as it is now; see `protocols.Workspace`, and `snapshots` for what stays how long.

        Raises:
            WorkspaceError: git failed, for example on a full disk; the worktree is as it was.
            LeaseLostError: another process has the worktree.
        """
        with _workspace_errors():
            self._owner.check()
            reach("snapshot.before")
            self._tie()
            kept = await self._snapshots.take(turn)
            self._restoring.forget_mark()
            await asyncio.to_thread(self._boot.note)
            self._note_unsaved(kept.unsaved)
            reach("snapshot.after")
            return kept.id

    async def restore(self, snapshot: str) -> None:
        """Put the worktree back to a snapshot; see `protocols.Workspace` and `restoring`.

        Raises:
            WorkspaceError: the snapshot is gone, or git failed; calling again completes it.
            LeaseLostError: another process has the worktree.
        """
        with _workspace_errors():
            self._tie()
            await self._restore(await self._kept(snapshot))

    async def resume(self, snapshot: str) -> None:
        """Go on after another process: complete what it was putting back, and make a worktree that is gone.

        Args:
            snapshot: what it is made from; empty for none.

        Raises:
            WorkspaceError: git failed, or what it was putting back is gone.
        """
        with _workspace_errors():
            await self._settle_delivery()
            interrupted = self._restoring.interrupted
            if interrupted is not None:
                await self._complete(interrupted, snapshot)
            elif not self._private.worktree_exists:
                await self._restore(await self._latest(snapshot))

    async def take_over(self, snapshot: str, original: Private) -> None:
        """Begin as another task of the same repository was at a snapshot, on a branch of our own.

        Its earlier snapshots come along, for this one may be put back to them.

        Raises:
            WorkspaceError: that snapshot is gone, or git failed.
        """
        with _workspace_errors():
            name = f"{folder(self._private.task_id)}/{ORIGIN}"
            kept = await inherit(self._private, self._git, original, snapshot, name)
            at = kept.standing.commit or self._base
            standing = Standing(os.fsencode(f"refs/heads/{self.branch}"), at, at)
            await self._restore(await self._snapshots.keep(ORIGIN, kept.tree, standing))

    async def commit_all(self, message: str) -> bool:
        """Commit everything that is uncommitted, untracked files included; False when there was nothing.

        Raises:
            WorkspaceError: git failed, for example on a full disk; nothing is lost.
        """
        with _workspace_errors():
            self._owner.check()
            state = await self._state()
            if not self._private.worktree_exists or await self._settled.holds(state):
                return False
            async with result(self._private, self._files, state) as found:
                self._note_left_out(found)
                if found.pending:
                    check = self._owner.check
                    await commit_result(self._private, self._git, state, found, message, self._facts.identity, check)
            if not found.pending and not found.uncommitted:
                self._settled.found(state)
            elif found.pending and not (found.conflict or found.unsaved or state.aside):
                await self._note_commit(found.tree)
            return found.pending

    async def _note_commit(self, tree: str) -> None:
        state = await self._state()
        if state.tip_tree == tree:
            self._settled.committed(state)

    async def changes(self) -> Changes:
        """Compute what the worktree holds relative to the base. Changes nothing; may be called twice.

        Raises:
            WorkspaceError: git failed.
        """
        with _workspace_errors():
            state = await self._state()
            found, uncommitted = await self._examine(state)
            commits = await commits_between(self._git, self._base, state.tip) if state.tip != self._base else ()
            return Changes(commits, found.files_changed, found.insertions, found.deletions, uncommitted)

    async def deliver(self) -> None:
        """Bring the branch, with every commit of the worktree, into the source. May be called twice.

        Raises:
            WorkspaceError: the source refused it; the work stays here, the message says where and how to get it.
        """
        with _workspace_errors():
            self._owner.check()
            state = await self._state()
            await deliver(self._source, self._private, state.tip, self._delivered)
            await self._remember_delivery(state.tip)
            if self._source.mirror and state.tip != self._base:
                self._note(
                    f"The branch is in the mirror of {self._source.place};"
                    f" get it with: git fetch {shlex.quote(str(self._source.common))} {self.branch}"
                )
            await self._look_for_other_work(state.tip)

    async def _look_for_other_work(self, tip: str) -> None:
        references = await asyncio.to_thread(references_mark, self._private)
        if references and references == self._references:
            return
        self._references = b""
        if not await has_unknown_commits(self._git, *all_but_snapshots(self._private)):
            self._references = references
            return
        for name in await other_work(self._git, tip):
            self._note(
                f"Commits of `{printable(name)}` are not part of {self.branch};"
                f" they are kept in {printable(self._private.repository)}."
            )

    def _source_has_everything(self) -> bool:
        """Whether every commit of the repository is known to be in the source, because nothing has moved since."""
        if free_branch_at(self._source.common, self.branch) != self._delivered:
            return False
        return self._references != b"" and references_mark(self._private) == self._references

    async def close(self, *, keep: bool = False, residue: bool = False) -> bool:
        """Remove the worktree if all its work is delivered; see `protocols.Workspace`. The repository stays."""
        if keep or not self._private.exists:
            return not self._private.worktree_exists
        with contextlib.suppress(WorkspaceError, LeaseLostError):  # what cannot be examined is kept
            if await self._safe_to_remove(residue=residue):
                await finish(self._remove_worktree())
        return not self._private.worktree_exists

    async def _remove_worktree(self) -> None:
        """To its end once begun."""
        with _workspace_errors():
            self._owner.check()
            (self._private.repository / CLOSED).touch()
            self._snapshots.index.forget()
            self._watch.forget()
            if not await discard(self.path):
                self._note(f"Not everything of {printable(self.path)} could be removed.")

    async def _restore(self, target: Kept) -> None:
        moved = await self._restoring.restore(target)
        await asyncio.to_thread(self._boot.note)
        for place in moved:
            self._note(f"What stood in the way of files that were put back was moved to {printable(place)}.")

    async def _complete(self, interrupted: str, snapshot: str) -> None:
        """Complete what an earlier process was putting back; what the session is at, when that cannot be had."""
        try:
            await self._restore(await self._kept(interrupted))
        except (WorkspaceError, RepositoryError, OSError):
            if not snapshot or snapshot == interrupted:
                raise
            await self._restore(await self._kept(snapshot))

    async def _kept(self, snapshot: str) -> Kept:
        if not snapshot:
            standing = Standing(os.fsencode(f"refs/heads/{self.branch}"), self._base, self._base)
            [tree] = await self._git.resolve(f"{self._base}^{{tree}}")
            return Kept("", tree, standing)
        kept = await self._find(snapshot)
        if kept is None:
            raise pruned(snapshot, self._private.repository)
        return kept

    async def _find(self, snapshot: str) -> Kept | None:
        kept = await find_snapshot(self._git, snapshot)
        return on_own_branch(self._private, kept) if kept else None

    async def _latest(self, snapshot: str) -> Kept:
        """What a worktree that is gone is made from: what is checked out, unless the snapshot holds other files."""
        state = await read_state(self._private, self._git, self._base, self._lookout)
        kept = await self._find(snapshot) if snapshot else None
        if kept and kept.tree != state.tip_tree:
            return kept
        standing = Standing(os.fsencode(f"refs/heads/{self.branch}"), state.tip, state.tip)
        return await self._snapshots.keep("rebuilt", state.tip_tree, standing)

    async def _settle_delivery(self) -> None:
        """Find out where an earlier process left the branch in the source."""
        tried, delivered = read_refs(self._private.repository, TIP, DELIVERED)
        self._delivered = delivered or self._base
        if tried and tried != delivered and (await branch_in(self._source, self.branch))[0] == tried:
            await self._remember_delivery(tried)

    async def _remember_delivery(self, commit: str) -> None:
        self._delivered = commit
        if read_refs(self._private.repository, DELIVERED) != [commit]:
            await asyncio.to_thread(write_ref, self._private.repository, DELIVERED, commit)

    def _tie(self) -> None:
        """Make sure that git finds the worktree."""
        if not self._private.exists:
            raise WorkspaceError(f"the task's repository {printable(self._private.repository)} was removed")
        link_worktree(self._private)

    @property
    def _files(self) -> Git:
        return self._git.at(self._private.worktree, {})

    async def _state(self) -> State:
        if not self._private.worktree_exists:
            self._note(f"The worktree {printable(self.path)} was removed; only what was committed is left.")
        return await read_state(self._private, self._git, self._base, self._lookout)

    async def _safe_to_remove(self, *, residue: bool) -> bool:
        with _workspace_errors():
            state = await self._state()
            if state.tip != self._delivered or self._private.rules != self._facts.rules:
                return False
            if not residue and not await clean(self._private, self._git, state, self._base):
                return False
            if await self._has_inner_work(state):
                return False
            delivered = await asyncio.to_thread(self._source_has_everything)
            return await removable(self._private, self._git, delivered=delivered)

    async def _has_inner_work(self, state: State) -> bool:
        """Whether a repository is inside the worktree that the work names anew, or a submodule has commits of its own."""
        if not self._private.worktree_exists or await self._settled.holds(state):  # then nothing is inside
            return bool(await submodules_with_commits(self._private, self._git, ""))
        changed = await difference(self._git, self._base, state.tip) if state.tip != self._base else Difference()
        if inner_repositories(self._private, changed):
            return True
        return bool(await submodules_with_commits(self._private, self._git, state.tip_tree))

    async def _examine(self, state: State) -> tuple[Difference, bool]:
        """How the result differs from the base, and whether it is uncommitted."""
        if not self._private.worktree_exists:
            return await difference(self._git, self._base, state.tip), False
        if await self._settled.holds(state):
            same = state.tip == self._base
            return Difference() if same else await difference(self._git, self._base, state.tip), False
        async with result(self._private, self._files, state) as found:
            self._note_left_out(found)
            changed = await difference(self._git, self._base, found.tree)
            self._note_unsaved(inner_repositories(self._private, changed))
        if not found.uncommitted:
            self._settled.found(state)
        return changed, found.uncommitted

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
