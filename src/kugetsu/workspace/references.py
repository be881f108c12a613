"""What a task's repository and its source name, told from files."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from kugetsu.workspace.private import Private
from kugetsu.workspace.reading import beginning, head_in, ref_in


def references_mark(private: Private) -> bytes:
    """What changes when a reference of a task's repository does; empty when that cannot be told.

    Kugetsu's own do not count: the snapshots, and what it delivers.
    """
    ours = {private.repository / "refs" / "kugetsu" / name for name in (private.task_id, "tip", "delivered")}
    digest = hashlib.blake2b(digest_size=16)
    pending = [private.repository / "refs", private.admin / "refs", private.admin / "HEAD"]
    try:
        packed = (private.repository / "packed-refs").stat()  # always replaced, never written into
        worktrees = sorted(os.listdir(private.admin.parent))  # noqa: PTH208 - a few names
        digest.update(repr((packed.st_ino, packed.st_size, packed.st_ctime_ns, worktrees)).encode(errors="replace"))
        while pending:
            path = pending.pop()
            if path.is_dir():
                pending += sorted(inner for inner in path.iterdir() if inner not in ours)
            elif path.exists():
                digest.update(b"%b\0%b\0" % (os.fsencode(path), path.read_bytes()))
    except OSError:
        return b""
    return digest.digest()


def free_branch_at(common: Path, name: str) -> str:
    """The commit of a branch that no checkout of a repository is on; empty when that is not plain to see.

    Args:
        common: the repository.
        name: of the branch, without `refs/heads/`.
    """
    ref = os.fsencode(f"refs/heads/{name}")
    if (common / "reftable").exists():
        return ""
    with suppress(OSError, ValueError):
        return ref_in(common, ref) if _is_free(common, ref) else ""
    return ""


def _is_free(common: Path, ref: bytes) -> bool:
    """Whether HEAD plainly names another branch or a commit, in the repository and in each worktree of it.

    A link, and a branch that is another name for a branch, are not plain.

    Raises:
        OSError, ValueError: that cannot be read.
    """
    for admin in (common, *(common / "worktrees").glob("*")):
        head = admin / "HEAD"
        branch, commit = head_in(admin)
        if head.is_symlink() or branch == ref or (not branch and not commit and head.exists()):
            return False
        named = common / os.fsdecode(branch)
        if branch and (named.is_symlink() or (beginning(named) or b"").startswith(b"ref:")):
            return False
    return True
