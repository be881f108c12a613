"""Worktrees of real git repositories.

The user's repository is never given to an agent. Each task gets a private repository that borrows the objects of its
*source* (the user's repository, or the mirror of a URL), with a worktree; at the end its branch is *delivered* into the
source. So whatever an agent does with git (stash, config, branches, hooks, clean-up) stays in its own repository.
"""

from kugetsu.workspace.diff import branch_diff
from kugetsu.workspace.forgetting import Undelivered
from kugetsu.workspace.inventory import Inventory, borrowers_of
from kugetsu.workspace.lock import take_lock
from kugetsu.workspace.premises import Premises
from kugetsu.workspace.version import MINIMUM_GIT, git_version
from kugetsu.workspace.workspace import GitWorkspace
from kugetsu.workspace.workspaces import GitWorkspaces

__all__ = [
    "MINIMUM_GIT",
    "GitWorkspace",
    "GitWorkspaces",
    "Inventory",
    "Premises",
    "Undelivered",
    "borrowers_of",
    "branch_diff",
    "git_version",
    "take_lock",
]
