"""A task's private repository and its worktree, as files.

The formats are those of gitrepository-layout(5); the worktree is a linked one of a bare repository that borrows the
source's objects. Writing the few files ourselves takes a third of the time of `git worktree add`, and the same code
repairs what an agent has deleted.
"""

import hashlib
import os
import re
import shutil
import stat
from pathlib import Path
from typing import Final

import msgspec

from kugetsu.errors import WorkspaceError
from kugetsu.tasks import BRANCH_PREFIX
from kugetsu.workspace.base import Base
from kugetsu.workspace.failures import refused_by_machine
from kugetsu.workspace.reading import beginning
from kugetsu.workspace.wording import printable

_NEVER_COMMITTED: Final = b"""
# Of Kugetsu: what tools leave behind, and no repository wants.
__pycache__/
*.py[co]
.pytest_cache/
.mypy_cache/
.ruff_cache/
.hypothesis/
.DS_Store
.kugetsu-*.tmp
"""
"""Added to the private repository's `info/exclude`; files that are tracked already are not concerned."""

INDEX_PREFIX: Final = "index.kugetsu-"
"""What files of ours beside the worktree's index are called; a new run removes those of earlier ones."""

ALTERNATES: Final = "objects/info/alternates"
_TAKEN_OVER: Final = ("shallow", "info/attributes", "info/exclude")


class Private(msgspec.Struct, frozen=True):
    """Where the things of one task are.

    Attributes:
        repository: the private bare repository.
        worktree: the directory that the agent works in.
        branch: the branch of its work.
    """

    repository: Path
    worktree: Path
    branch: str

    @property
    def admin(self) -> Path:
        """What git keeps for the worktree: its HEAD and index."""
        return self.repository / "worktrees" / self.worktree.name

    @property
    def index(self) -> Path:
        """The worktree's index, which is the agent's."""
        return self.admin / "index"

    @property
    def sparse(self) -> Path:
        """A file that is there when the agent asked for a part of the files; it says for which."""
        return self.admin / "info" / "sparse-checkout"

    @property
    def exists(self) -> bool:
        """Whether the repository is there, and whole."""
        return (self.repository / "objects").is_dir() and not self.unfinished.exists()

    @property
    def unfinished(self) -> Path:
        """A file that is there while a repository is made for work that exists already."""
        return self.repository / "kugetsu-unfinished"

    @property
    def made(self) -> Path:
        """A file that is written when a worktree is whole, before anybody works there."""
        return self.repository / "kugetsu-made"

    @property
    def worktree_exists(self) -> bool:
        """Whether the worktree is there, as a directory and not as a link to another."""
        try:
            return stat.S_ISDIR(self.worktree.lstat().st_mode)
        except OSError:
            return False

    @property
    def has_submodules(self) -> bool:
        """Whether the worktree names submodules."""
        return os.path.lexists(self.worktree / ".gitmodules")

    @property
    def task_id(self) -> str:
        """Whose it is."""
        return self.repository.name.removesuffix(".git")

    @property
    def made_at(self) -> frozenset[str]:
        """Where the branch was when the repository was made; empty when it was not made."""
        try:
            lines = (self.repository / "packed-refs").read_bytes().splitlines()
        except OSError:
            return frozenset()
        ending = os.fsencode(f" refs/heads/{self.branch}")
        return frozenset(os.fsdecode(line.removesuffix(ending)) for line in lines if line.endswith(ending))

    @property
    def rules(self) -> str:
        """A digest of what decides which objects and which files count as kept elsewhere or as of no value."""
        files = (self.repository / name for name in (ALTERNATES, "info/exclude"))
        contents = (path.read_bytes() if path.is_file() else b"" for path in files)
        return hashlib.sha256(b"\0".join(contents)).hexdigest()

    @property
    def link(self) -> Path:
        """The file in the worktree that tells git where its repository is."""
        return self.worktree / ".git"


def task_id_of(branch: str) -> str:
    """The id of the task that works on a branch."""
    return branch.removeprefix(BRANCH_PREFIX).partition("-")[0]


def private_of(home: Path, task_id: str, branch: str) -> Private:
    """Where the things of a task are, or will be."""
    top = home.absolute()
    return Private(top / "repos" / f"{task_id}.git", top / "worktrees" / branch.removeprefix(BRANCH_PREFIX), branch)


def reserve(directory: Path) -> None:
    """Make an empty directory that nobody had before.

    Raises:
        WorkspaceError: it is there already, or the machine refused.
    """
    try:
        directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.mkdir(mode=0o700)
    except FileExistsError as error:
        raise WorkspaceError(
            f"{printable(directory)} is there already",
            fix="it may hold work of an earlier run: look, then move it away",
        ) from error
    except OSError as error:
        raise refused_by_machine(error, "make a directory for the worktree") from error


def fill(private: Private, common: Path, base: Base, tags: bytes, config: bytes) -> None:
    """Complete a repository that `git init` has just made: borrowed objects, names, settings and the worktree's link.

    Args:
        private: the repository, whose worktree is still empty.
        common: the source, whose objects are borrowed.
        base: what the branch starts from.
        tags: lines of commit, space and full name, of the source.
        config: settings to add.

    Raises:
        WorkspaceError: the machine refused.
    """
    repository = private.repository
    try:
        (repository / "objects" / "info").mkdir(exist_ok=True)
        (repository / ALTERNATES).write_bytes(alternate(common / "objects"))
        (repository / "info").mkdir(exist_ok=True)
        for name in _TAKEN_OVER:
            _copy(common / name, repository / name)
        with (repository / "info" / "exclude").open("ab") as file:
            file.write(_NEVER_COMMITTED)
        with (repository / "config").open("ab") as file:
            file.write(config)
        (repository / "packed-refs").write_bytes(_packed(_names(private.branch, base), base.commit, tags))
        (repository / "HEAD").write_bytes(b"ref: refs/heads/" + os.fsencode(base.name or private.branch) + b"\n")
        link_worktree(private)
    except OSError as error:
        raise refused_by_machine(error, "write the task's repository") from error


def link_worktree(private: Private) -> None:
    """Write what makes the directory a worktree of the repository. What is there already, and makes sense, stays.

    Raises:
        OSError: the machine refused.
    """
    admin = private.admin
    if not admin.is_dir():
        admin.mkdir(parents=True, exist_ok=True)
    _write_missing(admin / "commondir", b"../..\n")
    _write_missing(admin / "gitdir", os.fsencode(private.link) + b"\n")
    if not _is_head(admin / "HEAD"):
        (admin / "HEAD").write_bytes(b"ref: refs/heads/" + os.fsencode(private.branch) + b"\n")
    _write_missing(admin / "locked", b"a task of Kugetsu works here\n")
    if private.worktree_exists:
        _write_missing(private.link, b"gitdir: " + os.fsencode(private.admin) + b"\n")


def worthless() -> list[str]:
    """Patterns, as in a `.gitignore`, of what tools leave behind and no repository wants."""
    return [line for line in _NEVER_COMMITTED.decode().splitlines() if line and not line.startswith("#")]


def rules_of(common: Path) -> str:
    """What `Private.rules` is of a repository that was made from a source, as the source is now, and not changed since.

    Args:
        common: the source.
    """
    exclude = common / "info" / "exclude"
    written = (exclude.read_bytes() if exclude.is_file() else b"") + _NEVER_COMMITTED
    return hashlib.sha256(b"\0".join((alternate(common / "objects"), written))).hexdigest()


def _write_missing(path: Path, contents: bytes) -> None:
    """Write a file that is not there, or that a crash left empty."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        found = None
    if found is None or (stat.S_ISREG(found.st_mode) and not found.st_size):
        path.write_bytes(contents)


def _is_head(path: Path) -> bool:
    """Whether a HEAD file says anything; one cut by a crash is empty."""
    return re.match(rb"ref: refs/|[0-9a-f]{40}", beginning(path) or b"") is not None


def _copy(source: Path, target: Path) -> None:
    if source.is_file():
        shutil.copyfile(source, target)


def alternate(objects: Path) -> bytes:
    """A line of `objects/info/alternates`: a path, in quotes when it could be taken for something else."""
    path = os.fsencode(objects)
    if b"\n" not in path and not path.startswith((b"#", b'"')):
        return path + b"\n"
    escaped = path.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
    return b'"' + escaped + b'"\n'


def _names(branch: str, base: Base) -> list[str]:
    """The names of the base commit that an agent finds: its branch, the base branch, and that of the usual remote."""
    names = [f"refs/heads/{branch}"]
    if base.name:
        names.append(f"refs/remotes/origin/{base.name}")
        # `a` and `a/b` cannot both be branches.
        if not f"{branch}/".startswith(f"{base.name}/") and not base.name.startswith(f"{branch}/"):
            names.append(f"refs/heads/{base.name}")
    return names


def _packed(names: list[str], commit: str, tags: bytes) -> bytes:
    """A `packed-refs` file. It leaves out what tags point to, which git looks up when it is needed."""
    refs = {os.fsencode(name): commit.encode() for name in names}
    for line in tags.splitlines():
        target, _, name = line.partition(b" ")
        refs[name] = target
    return b"# pack-refs with: sorted \n" + b"".join(b"%b %b\n" % (refs[name], name) for name in sorted(refs))
