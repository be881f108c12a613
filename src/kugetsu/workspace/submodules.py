"""Repositories that go with a worktree, or with what git keeps for it, and may hold commits that are nowhere else."""

import os
from collections.abc import Iterator
from pathlib import Path

from kugetsu.workspace.adding import GITLINK
from kugetsu.workspace.git import Git
from kugetsu.workspace.private import Private


async def submodules_with_commits(private: Private, git: Git, tree: str) -> list[Path]:
    """Submodules, and clones in their place, with commits that no branch of a remote has, or that cannot be looked at.

    Args:
        private: where they are.
        git: git, on the repository.
        tree: a commit or tree that names them; empty to look only at what git keeps for the worktree.

    Returns:
        The directory of each repository, or the file that names it.

    Raises:
        OSError: a directory cannot be read.
        RepositoryError, WorkspaceError: git failed.
    """
    named = [private.worktree / os.fsdecode(path) / ".git" for path in await _gitlinks(git, tree)] if tree else []
    tops = [*named, private.admin / "modules", private.repository / "modules"]
    return [path for top in tops for path in _repositories(top) if await _has_own_commits(git, path)]


async def _gitlinks(git: Git, tree: str) -> list[bytes]:
    listed = (await git.run("ls-tree", "-r", "-z", "--full-tree", tree)).split(b"\0")
    return [line.partition(b"\t")[2] for line in listed if line.startswith(GITLINK)]


def _repositories(top: Path) -> Iterator[Path]:
    """A repository, or all below a directory, and those that git keeps for their own submodules."""
    if top.is_file():
        yield top
        return
    pending = [top]
    while pending:
        folder = pending.pop()
        if (folder / "HEAD").is_file() or (folder / "objects").is_dir():
            yield folder
            pending.append(folder / "modules")
        elif folder.is_dir():
            with os.scandir(folder) as entries:
                pending += [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]


async def _has_own_commits(git: Git, repository: Path) -> bool:
    """Whether a name in a repository, HEAD included, leads to a commit that its remotes did not have."""
    here = git.at(repository.parent, {"GIT_DIR": repository, "GIT_WORK_TREE": repository.parent})
    found = await here.ask("rev-list", "--max-count=1", "--all", "--not", "--remotes", "--")
    return found.code != 0 or bool(found.stdout)
