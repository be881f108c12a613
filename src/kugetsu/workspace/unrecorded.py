"""What nobody has a record of: found out from the files themselves, and taken as a task's only when nothing was changed."""

from pathlib import Path

from kugetsu.tasks import BRANCH_PREFIX, Place
from kugetsu.workspace.facts import Facts
from kugetsu.workspace.inventory import alternates
from kugetsu.workspace.private import Private, rules_of


def place_of(private: Private) -> Place | None:
    """Where the work of a task is of which there is no record; None when it cannot be told.

    What an agent could have changed in order to look as if its work were delivered is compared with what we write.
    """
    borrowed, [base, *others] = alternates(private.repository), [*private.made_at] or [""]
    if len(borrowed) != 1 or not base or others:
        return None
    common = borrowed[0].parent
    if private.rules != rules_of(common):
        return None
    facts = Facts(rules=private.rules, common=str(common))
    return Place(base=base, branch=private.branch, path=str(private.worktree), details=facts.details())


def branch_of(worktree: Path) -> str:
    """The branch of the work in a worktree."""
    return BRANCH_PREFIX + worktree.name


def touched_at(*paths: Path) -> float:
    """When something was last changed at the top of directories; seconds since the epoch, 0 when that is not known."""
    times = [0.0]
    for path in paths:
        for name in (path, path / "HEAD", path / "packed-refs", path / "worktrees"):
            try:
                times.append(name.lstat().st_mtime)
            except OSError:
                continue
    return max(times)
