"""Whether a worktree is as it was, told without a process as long as that is cheap and certain."""

import asyncio
import os
import secrets
from pathlib import Path
from typing import Final

import msgspec

from kugetsu.workspace.git import Git
from kugetsu.workspace.looking import Look, look_at
from kugetsu.workspace.private import INDEX_PREFIX, Private
from kugetsu.workspace.rules import RuleBook, Rules

_MOST_SKIPPED: Final = 64


class Origin(msgspec.Struct, frozen=True):
    """What is known of a worktree that was just made, before anybody worked there.

    Attributes:
        commit: what is checked out.
        tree: its tree.
        look: what the worktree looked like; None when that cannot be told.
        refs: see `references_mark`.
    """

    commit: str
    tree: str
    look: Look | None
    refs: bytes = b""


class Watch:
    """Looks at one worktree, and at the rules by which git reads it.

    A look that cannot tell is not tried again at once: a tree with too many files rarely loses them.

    Args:
        git: git, on the worktree.
        index: of the worktree.
        places: what git keeps for it, and for all worktrees of its repository.
        book: finds the rules.
        stamp: a file of our own beside the worktree; None when nothing may be written there.
    """

    def __init__(self, git: Git, index: Path, places: tuple[Path, Path], book: RuleBook, stamp: Path | None) -> None:
        self._git = git
        self._index = index
        self._places = places
        self._book = book
        self._stamp = stamp
        self._rules: Rules | None = None
        self._to_skip = self._skipped = 0

    async def look(self) -> Look | None:
        """Look at everything; None when it cannot be told.

        Raises:
            WorkspaceError: git could not be run.
        """
        if self._skipped < self._to_skip:
            self._skipped += 1
            return None
        found = await asyncio.to_thread(self._look)
        if self._rules is None:
            self._rules = await self._book.of_worktree(self._git, *self._places)
            found = await asyncio.to_thread(self._look)
        self._skipped = 0
        self._to_skip = 0 if found else min(self._to_skip * 2 + 1, _MOST_SKIPPED)
        return found

    def forget(self) -> None:
        """Remove what was written for it."""
        if self._stamp:
            self._stamp.unlink(missing_ok=True)

    def _look(self) -> Look | None:
        if self._rules and not self._rules.hold:
            self._rules = None
        return look_at(self._git.cwd, self._index, self._stamp, self._rules.said) if self._rules else None


def watch_of(private: Private, git: Git, book: RuleBook) -> Watch:
    """The watch of a task's worktree."""
    stamp = private.admin / f"{INDEX_PREFIX}{os.getpid()}-{secrets.token_hex(4)}.look"
    return Watch(git.at(private.worktree, {}), private.index, (private.admin, private.repository), book, stamp)
