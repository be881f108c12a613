"""What nobody has a record of: found out from the files themselves, and taken as a task's only when nothing was changed."""

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from kugetsu.tasks import BRANCH_PREFIX, Place
from kugetsu.workspace.facts import Facts
from kugetsu.workspace.git import Git, agent_environment
from kugetsu.workspace.inventory import alternates
from kugetsu.workspace.private import Private, rules_of
from kugetsu.workspace.wording import printable


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


async def is_copy(directory: Path, common: Path, environ: Mapping[str, str]) -> bool:
    """Whether a repository has every file below a directory, whatever its name, so that nothing is lost with it.

    The link of a worktree does not count. A repository inside does, and so do links and files that cannot be read.

    Raises:
        RepositoryError, WorkspaceError: git failed.
    """
    git = Git(common, {**agent_environment(environ), "GIT_DIR": str(common)}, printable(common))
    form = (await git.run("rev-parse", "--show-object-format")).decode().strip()
    try:
        names = _objects(directory, form)
    except OSError:
        return False
    answers = await git.run("cat-file", "--batch-check=%(objecttype)", stdin="".join(f"{x}\n" for x in names).encode())
    return all(line == b"blob" for line in answers.splitlines())


def _objects(directory: Path, form: str) -> set[str]:
    """The names that git would give to the files below a directory.

    Raises:
        OSError: something is neither a file nor a directory nor a link, or cannot be read.
    """
    found = set()

    def refuse(error: OSError) -> None:
        raise error

    for folder, folders, files in os.walk(directory, onerror=refuse):
        top = Path(folder)
        for path in (top / name for name in (*files, *folders)):
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                found.add(_name(os.fsencode(path.readlink()), form))
            elif stat.S_ISREG(mode) and not (path.name == ".git" and top == directory):
                found.add(_name(path.read_bytes(), form))
            elif not stat.S_ISREG(mode) and (not stat.S_ISDIR(mode) or path.name == ".git"):
                raise OSError(0, "it is no file of a worktree", str(path))
    return found


def _name(contents: bytes, form: str) -> str:
    digest = hashlib.sha256 if form == "sha256" else hashlib.sha1
    return digest(b"blob %d\0" % len(contents) + contents).hexdigest()
