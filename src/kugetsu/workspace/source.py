"""The repository a task starts from and its work is delivered into: the user's own, or the mirror of a URL."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

import msgspec

from kugetsu.config import repository_top
from kugetsu.errors import KugetsuError, RepositoryError
from kugetsu.workspace.facts import Facts
from kugetsu.workspace.failures import refused_by_machine
from kugetsu.workspace.git import Git, agent_environment, user_environment
from kugetsu.workspace.inherited import Config, parse_config
from kugetsu.workspace.wording import printable


class Source(msgspec.Struct, frozen=True):
    """A repository on this machine.

    Attributes:
        here: git, as the user would run it there; HEAD is that of the user's worktree.
        store: git on the repository that all its worktrees share.
        common: directory of that repository.
        object_format: `sha1` or `sha256`.
        shallow: whether its history is cut.
        checkout: whether there are files of the user that may be uncommitted.
        mirror: whether it is the mirror of a URL.
        admin: where git keeps HEAD and index of the user's checkout, or of a bare repository; None when not plain to see.
        trees: the trees of commits that were looked up there before.
        missing: the end of the path that the user named, as far as it is no longer in the checkout.
    """

    here: Git
    store: Git
    common: Path
    object_format: str
    shallow: bool
    checkout: bool
    mirror: bool = False
    missing: Path = Path()
    admin: Path | None = None
    trees: dict[str, str] = {}

    @property
    def subdirectory(self) -> Path:
        """Where in its checkout the user named it; empty for the top and for what has no checkout."""
        named = self.here.cwd.resolve()
        return named.relative_to(repository_top(named)) / self.missing if self.checkout else Path()

    @property
    def place(self) -> str:
        """The path or URL that messages name."""
        return self.here.place

    async def config(self) -> Config:
        """Read its effective configuration.

        Raises:
            RepositoryError: it is a partial clone, or its configuration is broken.
        """
        config = parse_config(await self.here.run("config", "--list", "--show-scope", "-z"))
        if config.partial:
            raise RepositoryError(
                f"{self.place} is a partial clone: some of its objects are only at its remote",
                fix="name the URL of its remote instead, and a whole copy is made",
            )
        return config

    async def dirty(self) -> bool | None:
        """Whether the user's checkout holds uncommitted work; None when that cannot be told quickly."""
        if not self.checkout:
            return False
        try:
            listed = await self.here.run(
                "status", "--porcelain", "-z", "--untracked-files=normal", "--ignore-submodules=dirty", seconds=10
            )
        except KugetsuError:  # a damaged index, for example: a reason for a note, not against a worktree
            return None
        return bool(listed)


async def open_source(path: Path, environ: Mapping[str, str], *, place: str = "", mirror: bool = False) -> Source:
    """Find the repository of a directory: its top, a subdirectory, a linked worktree or a bare one.

    Args:
        path: the directory.
        environ: the user's own environment.
        place: what messages call it; the path itself unless given.
        mirror: whether it is the mirror of a URL.

    Raises:
        RepositoryError: there is none, or git refuses to use it.
        WorkspaceError: it cannot be read.
    """
    _check_directory(path)
    here = Git(path, user_environment(environ), place or printable(path))
    # The path comes last, because it may hold line ends.
    asked = ("--show-object-format", "--is-shallow-repository", "--is-inside-work-tree", "--git-common-dir")
    done = await here.ask("rev-parse", "--path-format=absolute", *asked)
    if done.code:
        raise here.failure(done, "rev-parse")
    object_format, shallow, checkout, common = os.fsdecode(done.stdout).split("\n", 3)
    return _source(
        here,
        Path(common.removesuffix("\n")),
        environ,
        object_format,
        shallow == "true",
        checkout == "true",
        mirror=mirror,
    )


async def open_source_again(path: Path, environ: Mapping[str, str]) -> Source:
    """Open the repository of a task that was made; its directory may have left the user's checkout since.

    Raises:
        RepositoryError, WorkspaceError: as for `open_source`.
    """
    there = next((place for place in (path, *path.parents) if place.is_dir()), path)
    if there == path:
        return await open_source(path, environ)
    try:
        source = await open_source(there, environ)
    except RepositoryError:
        _check_directory(path)  # that it does not exist says more
        raise
    return msgspec.structs.replace(source, missing=path.relative_to(there))


def known_source(path: Path, environ: Mapping[str, str], facts: Facts, *, place: str = "") -> Source | None:
    """The repository of a directory that is as it was; None when something about it may have changed.

    Args:
        path: the directory.
        environ: the user's own environment.
        facts: what was known of it.
        place: what messages call it, for the mirror of a URL; the path itself unless given.

    Raises:
        RepositoryError, WorkspaceError: the directory is gone or cannot be read.
    """
    _check_directory(path)
    common = Path(facts.common)
    if not facts.common or not (common / "objects").is_dir():
        return None
    here = Git(path, user_environment(environ), place or printable(path))
    return _source(here, common, environ, facts.object_format, facts.shallow, facts.checkout, mirror=bool(place))


def _source(
    here: Git,
    common: Path,
    environ: Mapping[str, str],
    object_format: str,
    shallow: bool,
    checkout: bool,
    *,
    mirror: bool,
) -> Source:
    store = Git(common, {**agent_environment(environ), "GIT_DIR": str(common)}, here.place)
    admin = _admin(here.cwd, common)
    return Source(here, store, common, object_format, shallow, checkout, mirror, admin=admin, trees={})


def _admin(path: Path, common: Path) -> Path | None:
    """See `Source.admin`."""
    top = repository_top(path)
    link = top / ".git"
    try:
        if not os.path.lexists(link):
            found = path
        elif link.is_dir():
            found = link
        else:
            found = link.parent / os.fsdecode(link.read_bytes().removeprefix(b"gitdir: ").removesuffix(b"\n"))
        shared = found / "commondir"
        whole = found / os.fsdecode(shared.read_bytes().removesuffix(b"\n")) if shared.exists() else found
        return found if (whole / "objects").samefile(common / "objects") else None
    except (OSError, ValueError):
        return None


def _check_directory(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RepositoryError(f"{printable(path)} does not exist", fix="name a repository with --repo") from error
    except OSError as error:
        raise refused_by_machine(error, "use the repository") from error
    if not stat.S_ISDIR(mode):
        raise RepositoryError(
            f"{printable(path)} is a file, not a git repository", fix="name the repository's directory with --repo"
        )
