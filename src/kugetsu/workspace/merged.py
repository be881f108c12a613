"""Which delivered branches their user has merged, in the repository that they were delivered into."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kugetsu.tasks import BRANCH_PREFIX
from kugetsu.workspace.git import Git, agent_environment
from kugetsu.workspace.wording import printable

_OURS: Final = re.compile(rf"refs/(?:heads|remotes/[^/]+)/{re.escape(BRANCH_PREFIX)}")
"""Branches of tasks, also where their user has pushed them: what is on these alone is not merged."""


async def merged_in(common: Path, delivered: Mapping[str, str], environ: Mapping[str, str]) -> set[str]:
    """The branches whose tip a branch contains that is not of Kugetsu. Changes nothing.

    Three git commands, however many branches there are.

    Args:
        common: directory of the repository.
        delivered: by branch, the commit at which we left it, which counts when the branch was deleted; or nothing.
        environ: the user's environment.

    Raises:
        RepositoryError, WorkspaceError: git failed.
    """
    git = Git(common, {**agent_environment(environ), "GIT_DIR": str(common)}, printable(common))
    listed = await git.run("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/remotes")
    refs = {name: commit for commit, _, name in (_text(line).partition(" ") for line in listed.splitlines())}
    tips = {branch: refs.get(f"refs/heads/{branch}", commit) for branch, commit in delivered.items()}
    there = await _commits(git, [commit for commit in tips.values() if commit])
    elsewhere = await _only_in(git, there, {commit for name, commit in refs.items() if not _OURS.match(name)})
    return {branch for branch, tip in tips.items() if tip in there and tip not in elsewhere}


async def _commits(git: Git, names: list[str]) -> set[str]:
    """Those that the repository has."""
    return {commit for commit in await git.resolve(*(f"{name}^{{commit}}" for name in names)) if commit}


async def _only_in(git: Git, tips: set[str], others: set[str]) -> set[str]:
    """The commits of the tips that the others do not contain."""
    if not tips:
        return set()
    asked = "".join(f"{commit}\n" for commit in (*sorted(tips), *(f"^{other}" for other in sorted(others))))
    return set((await git.run("rev-list", "--ignore-missing", "--stdin", stdin=asked.encode())).decode().split())


def _text(line: bytes) -> str:
    return line.decode(errors="surrogateescape")
