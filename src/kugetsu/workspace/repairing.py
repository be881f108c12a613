"""Repairing what a crash left of a task's repository and of the files that tie the worktree to it."""

import os
import re
from pathlib import Path
from typing import Final

from kugetsu.workspace.durable import write_ref
from kugetsu.workspace.private import ALTERNATES, INDEX_PREFIX, Private, alternate, link_worktree
from kugetsu.workspace.stale import remove_locks
from kugetsu.workspace.standing import Standing

_REF: Final = re.compile(rb"(?:[0-9a-f]{40}|[0-9a-f]{64}|ref: [^\n]+)\n?")


def repair(private: Private, common: Path) -> None:
    """Remove locks of git commands that died, and write anew what was cut. No such command runs any more.

    Args:
        private: a repository that was whole once.
        common: the source, whose objects it borrows.

    Raises:
        OSError: the machine refused.
    """
    remove_locks(private.repository)
    for index in private.admin.glob(f"{INDEX_PREFIX}*"):  # of earlier runs
        index.unlink(missing_ok=True)
    (private.repository / "refs").mkdir(exist_ok=True)
    _write_empty(private.repository / "HEAD", b"ref: refs/heads/" + os.fsencode(private.branch) + b"\n")
    _write_empty(private.repository / ALTERNATES, alternate(common / "objects"))
    repair_links(private)


def repair_links(private: Private) -> None:
    """Write anew what ties worktree and repository together, where it does not; an agent's own repository is left.

    Raises:
        OSError: the machine refused.
    """
    ours = {
        private.admin / "commondir": b"../..\n",
        private.admin / "gitdir": os.fsencode(private.link) + b"\n",
        private.link: b"gitdir: " + os.fsencode(private.admin) + b"\n",
    }
    for path, contents in ours.items():
        if path.is_file() and not path.is_symlink() and path.read_bytes() != contents:
            path.unlink()
    link_worktree(private)


def _write_empty(path: Path, contents: bytes) -> None:
    if not path.is_file() or not path.stat().st_size:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents)


def repair_branches(private: Private, standing: Standing) -> None:
    """Let branches that a power cut left without a commit be where the last snapshot saw them.

    Raises:
        OSError: the machine refused.
    """
    known = {os.fsencode(f"refs/heads/{private.branch}"): standing.branch, standing.head: standing.commit}
    for name, commit in known.items():
        path = private.repository / os.fsdecode(name)
        if name and commit and is_cut(path):
            path.unlink()
            write_ref(private.repository, os.fsdecode(name), commit)


def is_cut(path: Path) -> bool:
    """Whether a file that is to hold a reference holds none."""
    return path.is_file() and not _REF.fullmatch(path.read_bytes())
