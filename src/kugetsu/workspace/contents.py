"""What a checked out tree holds that a worktree does not fully serve: submodules, large files, filters."""

import os
import re
from pathlib import Path
from typing import Final

from kugetsu.workspace.git import Git
from kugetsu.workspace.inherited import Config
from kugetsu.workspace.private import Private

_FILTER: Final = re.compile(rb"(?:^|[ \t])filter=([^\s]+)")


async def contents_notes(private: Private, git: Git, config: Config, attributes: tuple[bytes, ...] | None) -> list[str]:
    """Say in one sentence each what is not done for this worktree.

    Args:
        private: whose worktree has just been checked out.
        git: git, on the worktree.
        config: of the source.
        attributes: the files named `.gitattributes`; None when they have to be looked for.
    """
    notes = []
    if private.has_submodules:
        notes.append("Submodules are not checked out.")
    if attributes is None:
        listed = await git.run("ls-files", "-z", "--", ":(glob)**/.gitattributes")
        attributes = tuple(name for name in listed.split(b"\0") if name)
    filters = _filters(private.worktree, attributes)
    if "lfs" in filters:
        notes.append("Large files (Git LFS) are pointers here, and new ones are committed as they are.")
    notes += [
        f"Files with the filter `{name}` are as git stores them: only the repository's own configuration defines it."
        for name in sorted(filters & config.local_filters - {"lfs"})
    ]
    return notes


def _filters(worktree: Path, names: tuple[bytes, ...]) -> set[str]:
    """Names of the filters that the attributes in a worktree ask for."""
    found: set[str] = set()
    for name in names:
        path = worktree / os.fsdecode(name)
        if path.is_file() and not path.is_symlink():
            found |= {word.decode(errors="replace") for word in _FILTER.findall(path.read_bytes())}
    return found
