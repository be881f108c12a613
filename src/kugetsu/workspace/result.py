"""What the work amounts to: the tree that the task's branch would have with everything committed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from kugetsu.workspace.git import Git
from kugetsu.workspace.private import Private
from kugetsu.workspace.state import State
from kugetsu.workspace.tree import worktree_tree


class Result(msgspec.Struct, frozen=True):
    """What the work amounts to.

    Attributes:
        tree: with everything in it that a commit can hold.
        pending: whether the tip does not have that tree yet.
        unsaved: paths of the worktree that it does not hold.
        conflict: whether uncommitted work was left out because it does not fit on the tip.
        index: describes the tree; gone when the block is left.
    """

    tree: str
    pending: bool
    unsaved: tuple[bytes, ...]
    conflict: bool
    index: Path

    @property
    def uncommitted(self) -> bool:
        """Whether the worktree holds work that no commit has."""
        return self.pending or self.conflict or bool(self.unsaved)


@asynccontextmanager
async def result(private: Private, git: Git, state: State) -> AsyncIterator[Result]:
    """Find out what the work amounts to. Changes nothing.

    Args:
        private: where the worktree is; it exists.
        git: git, on the worktree.
        state: what is checked out, and what the tip of the work is.

    Raises:
        RepositoryError, WorkspaceError: git failed.
    """
    async with worktree_tree(private, git, state.tree) as taken:
        tree = taken.id
        if state.aside:
            tree = await _carried_over(git, taken.index, state, taken.id)
        final = tree or state.tip_tree
        yield Result(final, final != state.tip_tree, taken.unsaved, not tree, taken.index)


async def _carried_over(git: Git, index: Path, state: State, tree: str) -> str:
    """The tip's tree with what was changed on something older, file by file; empty when both changed the same file."""
    if tree == state.tree:
        return state.tip_tree
    apart = git.at(git.cwd, {"GIT_INDEX_FILE": index})
    await apart.run("read-tree", "--empty")
    await apart.run("read-tree", "-i", "-m", "--aggressive", state.tree, state.tip_tree, tree)
    written = await apart.ask("write-tree")
    return "" if written.code else written.stdout.decode().strip()
