"""What a worktree holds relative to its base."""

import re
from typing import Final

import msgspec

from kugetsu.tasks import Commit
from kugetsu.workspace.adding import GITLINK, raw_changes
from kugetsu.workspace.git import Git

_COUNTS: Final = re.compile(rb"(\d+) (file|insertion|deletion)")


class Difference(msgspec.Struct, frozen=True):
    """How two trees differ.

    Attributes:
        repositories: paths at which the second tree names another commit of another repository, or a new one.
    """

    files_changed: int = 0
    insertions: int = 0
    deletions: int = 0
    repositories: frozenset[bytes] = frozenset()


async def difference(git: Git, before: str, after: str) -> Difference:
    """Compare two trees or commits; a renamed file counts as one, as in `git diff --shortstat`.

    Raises:
        RepositoryError, WorkspaceError: git failed.
    """
    listed = await git.run("diff-tree", "-r", "-M", "-z", "--raw", "--shortstat", "--no-textconv", before, after)
    counted = listed.rpartition(b"\0")[2]
    numbers = {what.decode(): int(number) for number, what in _COUNTS.findall(counted)}
    inner = frozenset(path for _, mode, path in raw_changes(listed) if mode == GITLINK)
    return Difference(numbers.get("file", 0), numbers.get("insertion", 0), numbers.get("deletion", 0), inner)


async def commits_between(git: Git, base: str, tip: str) -> tuple[Commit, ...]:
    """The commits that `tip` has and `base` has not, oldest first.

    Raises:
        RepositoryError, WorkspaceError: git failed.
    """
    listed = await git.run("rev-list", "--reverse", "--topo-order", "--encoding=UTF-8", "--format=%s", f"{base}..{tip}")
    lines = listed.decode(errors="replace").split("\n")
    return tuple(
        Commit(head.removeprefix("commit "), subject) for head, subject in zip(lines[::2], lines[1::2], strict=False)
    )
