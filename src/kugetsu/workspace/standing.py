"""What is checked out, and where the task's branch is: what a snapshot holds beside the files."""

import hashlib
import os
import re
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from kugetsu.workspace.git import Git
from kugetsu.workspace.private import Private

_HEAD: Final = re.compile(rb"ref: (refs/heads/[^\n]+)\n?")
_LONGEST_REF: Final = 4096
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
    """Finds out where a repository stands, without a process as long as nothing has moved.

    Args:
        private: whose.
        git: git, on it.
    """

    def __init__(self, private: Private, git: Git) -> None:
        self._private = private
        self._git = git
        self._seen: tuple[object, ...] = ()
        self._standing = Standing(b"", "", "")

    async def look(self) -> Standing:
        """Where it stands now.

        Raises:
            RepositoryError, WorkspaceError: git failed.
            OSError: the repository cannot be read.
        """
        head = self._head()
        seen = self._marks(head)
        if seen != self._seen:
            names = ("HEAD", f"refs/heads/{self._private.branch}")
            commit, branch = await self._git.resolve(*(f"{name}^{{commit}}" for name in names))
            self._standing, self._seen = Standing(head, commit, branch), seen
        return self._standing

    def _head(self) -> bytes:
        found = _HEAD.fullmatch((self._private.admin / "HEAD").read_bytes())
        return found[1] if found else b""

    def _marks(self, head: bytes) -> tuple[object, ...]:
        """What changes when HEAD or one of the branches is moved."""
        repository = self._private.repository
        names = {os.fsdecode(head), f"refs/heads/{self._private.branch}"} - {""}
        found = [_beginning(repository / name) for name in sorted(names) if ".." not in name]
        if any(contents.startswith(b"ref:") for contents in found):  # it moves with another branch
            return (object(),)
        return (_beginning(self._private.admin / "HEAD"), mark(repository / "packed-refs"), *found)


def _beginning(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST_REF)
    except OSError:
        return b""


def mark(path: Path) -> Mark:
    """What tells a file from its earlier self: git replaces files, and never writes into them."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
