"""Locks that a killed git left behind, in repositories that are ours alone."""

import os
import re
from pathlib import Path
from typing import Final

from kugetsu.workspace.git import LOCAL_SECONDS, Git

_LOCKED: Final = re.compile(rb"Unable to create '(.*\.lock)': File exists")
_MOST_LOCKS: Final = 8
_WITHOUT_LOCKS: Final = frozenset({"info", "kugetsu-aside", "logs", "objects"})


async def run_over_locks(
    git: Git, repository: Path, *arguments: str, seconds: float = LOCAL_SECONDS, remote: bool = False
) -> None:
    """Run git; a lock of the repository that is in the way, even after git has waited for it, is removed.

    Args:
        git: git, on the repository.
        repository: whose locks may be removed, because no other git that could hold one is running.
        arguments: of git.
        seconds: as of `Git.run`.
        remote: as of `Git.run`.

    Raises:
        RepositoryError, WorkspaceError: git failed.
    """
    for _ in range(_MOST_LOCKS):
        done = await git.ask(*arguments, seconds=seconds, remote=remote)
        if done.code == 0:
            return
        locks = _locks(repository, done.stderr)
        if not locks:
            break
        for lock in locks:
            lock.unlink(missing_ok=True)
    raise git.failure(done, arguments[0], remote=remote)


def remove_locks(repository: Path) -> None:
    """Remove every lock in a repository of which no git that could hold one is running.

    Raises:
        OSError: the machine refused.
    """
    top = str(repository)
    for folder, folders, files in os.walk(top):
        if folder == top:
            folders[:] = [name for name in folders if name not in _WITHOUT_LOCKS]
        for name in files:
            if name.endswith(".lock"):
                Path(folder, name).unlink(missing_ok=True)


def _locks(repository: Path, printed: bytes) -> set[Path]:
    found = {Path(path.decode(errors="surrogateescape")) for path in _LOCKED.findall(printed)}
    return {path for path in found if path.is_relative_to(repository)}
