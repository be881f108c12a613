"""The files outside a worktree that decide what git makes of those inside: settings, ignore rules, attributes."""

import asyncio
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from kugetsu.workspace.git import Git

_OF_MACHINE: Final = ("/etc/gitconfig", "/etc/gitattributes")
_OF_REPOSITORY: Final = ("config", "info/exclude", "info/attributes")
_OF_WORKTREE: Final = ("config.worktree", "info/sparse-checkout")
_NAMING_FILES: Final = frozenset({"core.excludesfile", "core.attributesfile"})
_LARGEST: Final = 1 << 20
_MOST_KNOWN: Final = 1000


class Rules(msgspec.Struct, frozen=True):
    """The rules of one worktree, as they are.

    Attributes:
        files: where they are, or would be if there were any.
        said: a digest of what they say.
    """

    files: tuple[str, ...]
    said: bytes

    @property
    def hold(self) -> bool:
        """Whether they still say the same, so that there are no others either."""
        return said_by(self.files) == self.said


class RuleBook:
    """Finds the rules of worktrees. git is asked once for what many tasks have in common.

    Args:
        environ: the user's environment.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._known: dict[bytes, tuple[Path, ...]] = {}

    @property
    def of_user(self) -> tuple[str, ...]:
        """Files of the user and of the machine; see git-config(1), gitignore(5) and gitattributes(5)."""
        home = Path(self._environ.get("HOME") or "/")
        own = Path(self._environ.get("XDG_CONFIG_HOME") or home / ".config") / "git"
        given = (self._environ.get(name) for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"))
        names = (own / name for name in ("config", "ignore", "attributes"))
        return tuple(map(str, (*filter(None, given), *_OF_MACHINE, home / ".gitconfig", *names)))

    async def of_worktree(self, git: Git, admin: Path, common: Path) -> Rules | None:
        """The rules of a worktree; None when they cannot all be known.

        Args:
            git: git, on the worktree.
            admin: what git keeps for it.
            common: what git keeps for all worktrees of the repository.

        Raises:
            WorkspaceError: git could not be run.
        """
        own = (*(admin / name for name in _OF_WORKTREE), *(common / name for name in _OF_REPOSITORY))
        files = (*self.of_user, *map(str, own))
        said = await asyncio.to_thread(said_by, files)
        named = self._known.get(said)
        if named is None:
            done = await git.ask("config", "--list", "--show-origin", "-z")
            named = files_named(done.stdout, git.cwd, self.home) if done.code == 0 else None
            if named is None:
                return None
            if b"\0include" not in done.stdout:  # what is included depends on the place
                self._remember(said, named)
        everything = tuple(dict.fromkeys((*files, *map(str, named))))
        rules = Rules(everything, await asyncio.to_thread(said_by, everything))
        return rules if said and rules.said and await asyncio.to_thread(said_by, files) == said else None

    @property
    def home(self) -> str:
        """The user's home directory; empty when it is not known."""
        return self._environ.get("HOME", "")

    def _remember(self, said: bytes, named: tuple[Path, ...]) -> None:
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[said] = named


def files_named(listing: bytes, cwd: Path, home: str) -> tuple[Path, ...] | None:
    """The files that settings come from, or name; None when that may change without any of them.

    Args:
        listing: as `git config --list --show-origin -z` prints it.
        cwd: what paths are relative to.
        home: what `~` stands for.
    """
    found: dict[Path, None] = {}
    for origin, name, value in _settings(listing):
        here = cwd / origin.removeprefix("file:") if origin.startswith("file:") else None
        if here:
            found[here] = None
        if name.startswith(("includeif.onbranch:", "includeif.hasconfig:")):
            return None
        included = name.startswith("include") and name.endswith(".path")
        if included or name in _NAMING_FILES:
            path = _path(value, (here.parent if here else cwd) if included else cwd, home)
            if path is None:
                return None
            found[path] = None
    return tuple(found)


def _settings(listing: bytes) -> Iterator[tuple[str, str, str]]:
    fields = listing.decode(errors="surrogateescape").split("\0")
    for origin, setting in zip(fields[::2], fields[1::2], strict=False):
        name, _, value = setting.partition("\n")
        yield origin, name, value


def _path(value: str, relative_to: Path, home: str) -> Path | None:
    """A path as git reads it from a setting; None for one that only git can tell."""
    if value.startswith("~/") and home:
        return Path(home, value[2:])
    return None if value.startswith(("~", "%(", ":(")) else relative_to / value


def said_by(files: Iterable[str | Path]) -> bytes:
    """A digest of what small files hold; empty when one is too large."""
    digest = hashlib.blake2b(digest_size=16)
    for path in files:
        contents = _contents(path)
        if len(contents) > _LARGEST:
            return b""
        digest.update(b"%d:" % len(contents))
        digest.update(contents)
    return digest.digest()


def _contents(path: str | Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        return os.read(descriptor, _LARGEST + 1)
    except OSError:  # a directory
        return b""
    finally:
        os.close(descriptor)
