"""What is checked out, and where the task's branch is: what a snapshot holds beside the files."""

import hashlib
import os
import re
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from kugetsu.workspace.git import Git
from kugetsu.workspace.private import Private
from kugetsu.workspace.reading import beginning, head_in, ref_in, tree_in

_NONE: Final = b"none"
_DETACHED: Final = b"detached"


Mark: TypeAlias = tuple[int, int, int] | None
"""Time, size and number of a file; None for one that is not there."""


class Standing(msgspec.Struct, frozen=True):
    """Where a private repository stands.

    Attributes:
        head: full name of the branch that is checked out; empty when HEAD is detached.
        commit: what is checked out; empty on a branch that has no commit yet.
        branch: the commit of the task's branch; empty without one.
    """

    head: bytes
    commit: str
    branch: str

    @property
    def parents(self) -> tuple[str, ...]:
        """The commits that a snapshot has to keep, what is checked out first."""
        return tuple(dict.fromkeys(commit for commit in (self.commit, self.branch) if commit))

    def message(self, turn: str, sparse: str = "") -> bytes:
        """As the message of a snapshot; `standing_in` reads it. For `sparse` see `sparse_in`."""
        lines = (
            b"Kugetsu snapshot",
            b"",
            b"turn: " + turn.encode(),
            b"head: " + (self.head or _DETACHED),
            b"head-commit: " + (self.commit.encode() or _NONE),
            b"branch-commit: " + (self.branch.encode() or _NONE),
            *([b"sparse: " + sparse.encode()] if sparse else []),
            b"",
        )
        return b"\n".join(lines)


def standing_in(message: bytes) -> Standing | None:
    """Read the message of a snapshot; None when it is no snapshot's."""
    fields = dict(line.partition(b": ")[::2] for line in message.splitlines())
    try:
        head, commit, branch = (fields[name] for name in (b"head", b"head-commit", b"branch-commit"))
    except KeyError:
        return None
    commits = (b"" if value == _NONE else value for value in (commit, branch))
    return Standing(b"" if head == _DETACHED else head, *(value.decode() for value in commits))


def turn_in(message: bytes) -> int | None:
    """The turn after which a snapshot was made, from its message; None when it was made otherwise."""
    found = re.search(rb"^turn: (\d+)$", message, re.MULTILINE)
    return int(found[1]) if found else None


def sparse_in(message: bytes) -> str:
    """A digest of which files were checked out at all, from the message of a snapshot; empty for every file."""
    found = re.search(rb"^sparse: ([0-9a-f]+)$", message, re.MULTILINE)
    return found[1].decode() if found else ""


def sparse_now(private: Private) -> str:
    """The same digest, for what the agent asks for now."""
    try:
        return hashlib.sha256(private.sparse.read_bytes()).hexdigest()
    except OSError:
        return ""


class Lookout:
    """Finds out where a repository stands; git is asked only for what is not plain to see.

    Args:
        private: whose.
        git: git, on it.
    """

    def __init__(self, private: Private, git: Git) -> None:
        self._private = private
        self._git = git
        self._own = f"refs/heads/{private.branch}"
        self._trees: dict[str, str] = {}
        self._seen: tuple[object, ...] = ()
        self._standing = Standing(b"", "", "")

    def learn(self, commit: str, tree: str) -> None:
        """Take it for known that a commit is there, and what tree it has."""
        self._trees[commit] = tree

    async def look(self) -> Standing:
        """Where it stands now.

        Raises:
            RepositoryError, WorkspaceError: git failed.
            OSError: the repository cannot be read.
        """
        head, detached = head_in(self._private.admin)
        own = os.fsencode(self._own)
        branch = ref_in(self._private.repository, own)
        commit = branch if head == own else ref_in(self._private.repository, head) if head else detached
        if self._is_known(commit) and self._is_known(branch):
            return Standing(head, commit, branch)
        return await self._ask(head)

    async def trees(self, *commits: str) -> list[str]:
        """The tree of each commit; empty for one that is none.

        Raises:
            RepositoryError, WorkspaceError: git failed.
        """
        asked = [commit for commit in commits if not self._is_known(commit)]
        found = await self._git.resolve(*(f"{commit}^{{tree}}" for commit in asked)) if asked else []
        self._trees |= {commit: tree for commit, tree in zip(asked, found, strict=True) if tree}
        return [self._trees.get(commit, "") for commit in commits]

    def _is_known(self, commit: str) -> bool:
        """Whether it is a commit for certain."""
        if commit and commit not in self._trees and (tree := tree_in(self._private.repository, commit)):
            self._trees[commit] = tree
        return commit in self._trees

    async def _ask(self, head: bytes) -> Standing:
        seen = self._marks(head)
        if seen != self._seen:
            names = [f"{name}^{{{kind}}}" for kind in ("commit", "tree") for name in ("HEAD", self._own)]
            commit, branch, tree, other = await self._git.resolve(*names)
            self._trees |= {name: found for name, found in ((commit, tree), (branch, other)) if name and found}
            self._standing, self._seen = Standing(head, commit, branch), seen
        return self._standing

    def _marks(self, head: bytes) -> tuple[object, ...]:
        """What changes when HEAD or one of the branches is moved."""
        repository = self._private.repository
        names = {os.fsdecode(head), self._own} - {""}
        found = [_contents(repository / name) for name in sorted(names) if ".." not in name]
        if any(contents.startswith(b"ref:") for contents in found):  # it moves with another branch
            return (object(),)
        return (_contents(self._private.admin / "HEAD"), mark(repository / "packed-refs"), *found)


def _contents(path: Path) -> bytes:
    try:
        return beginning(path) or b""
    except OSError:
        return b""


def mark(path: Path) -> Mark:
    """What tells a file from its earlier self: git replaces files, and never writes into them."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
