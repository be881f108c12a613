"""What is known of the repositories that tasks start from, so that the second task of one asks git less than the first.

Whether it still holds is read from small files: those that git itself would read to answer.
"""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from kugetsu.config import repository_top
from kugetsu.workspace.base import plainly_checked_out
from kugetsu.workspace.git import user_environment
from kugetsu.workspace.inherited import Config
from kugetsu.workspace.looking import Look
from kugetsu.workspace.rules import RuleBook, said_by
from kugetsu.workspace.source import Source, open_source
from kugetsu.workspace.watching import Watch

_MOST_KNOWN: Final = 200


class _Known(msgspec.Struct):
    """What is known of one repository.

    Attributes:
        source: the repository.
        env: the environment in which git said so.
        mark: what it rests on, see `_mark`.
        config: its configuration, and the files that it was read from.
        dirty: what was checked out, how that looked, and whether anything was uncommitted.
    """

    source: Source
    env: dict[str, str]
    mark: tuple[object, ...]
    watch: Watch | None = None
    config: Config | None = None
    settings: tuple[str, ...] = ()
    said: bytes = b""
    dirty: tuple[str, Look, bool] | None = None


class Sources:
    """Opens repositories of directories, and remembers them.

    Args:
        environ: the user's environment.
        book: finds the rules of worktrees.
    """

    def __init__(self, environ: Mapping[str, str], book: RuleBook) -> None:
        self._environ = environ
        self._book = book
        self._known: dict[Path, _Known] = {}
        self._locks: dict[Path, asyncio.Lock] = {}

    async def open(self, path: Path) -> Source:
        """Find the repository of a directory, see `open_source`.

        Raises:
            RepositoryError, WorkspaceError: as `open_source`.
        """
        async with self._lock(path):
            env = user_environment(self._environ)
            known = self._known.get(path)
            if known and known.env == env and await self._mark(known.source) == known.mark:
                return known.source
            self._known.pop(path, None)
            source = await open_source(path, self._environ)
            mark = await self._mark(source)
            if mark:
                self._known[path] = _Known(source, env, mark)
            return source

    async def config(self, source: Source) -> Config:
        """Its effective configuration, see `Source.config`.

        Raises:
            RepositoryError, WorkspaceError: as `Source.config`.
        """
        known = self._of(source)
        if known is None:
            return await source.config()
        async with self._lock(source.here.cwd):
            if known.config is None or await asyncio.to_thread(said_by, known.settings) != known.said:
                rules = await self._book.of_worktree(source.here, *_places(source))
                known.config = None
                config = await source.config()
                if rules and await asyncio.to_thread(said_by, rules.files) == rules.said:
                    known.config, known.settings, known.said = config, rules.files, rules.said
                return config
            return known.config

    async def dirty(self, source: Source) -> bool | None:
        """Whether the user's checkout holds uncommitted work, see `Source.dirty`."""
        known = self._of(source)
        standing = plainly_checked_out(source)
        if known is None or not source.checkout or standing is None or source.admin is None:
            return await source.dirty()
        async with self._lock(source.here.cwd):
            known.watch = known.watch or self._watch(source, source.admin)
            look = await known.watch.look()
            if known.dirty and known.dirty[0] == standing[1] and known.dirty[1].proves(look):
                return known.dirty[2]
            found = await source.dirty()
            known.dirty = (standing[1], look, found) if look and look.certain and found is not None else None
            return found

    async def _mark(self, source: Source) -> tuple[object, ...]:
        return await asyncio.to_thread(_mark, source, self._book.of_user)

    def _watch(self, source: Source, admin: Path) -> Watch:
        git = source.here.at(repository_top(source.here.cwd), {})
        return Watch(git, admin / "index", _places(source), self._book, stamp=None)

    def _of(self, source: Source) -> _Known | None:
        known = self._known.get(source.here.cwd)
        return known if known and known.source is source else None

    def _lock(self, path: Path) -> asyncio.Lock:
        if len(self._locks) > _MOST_KNOWN:
            self._known.clear()
            self._locks = {place: lock for place, lock in self._locks.items() if lock.locked()}
        return self._locks.setdefault(path, asyncio.Lock())


def _places(source: Source) -> tuple[Path, Path]:
    return source.admin or source.common, source.common


def _mark(source: Source, settings: tuple[str, ...]) -> tuple[object, ...]:
    """What decides how git opens a directory; empty when that is more than can be told."""
    path, admin = source.here.cwd, source.admin
    if admin is None:
        return ()
    top = repository_top(path)
    link = top / ".git"
    try:
        return (
            top,
            os.path.lexists(link),
            *(_owner(place) for place in {top, admin, source.common}),
            _owner(link) if link.exists() else None,
            (source.common / "shallow").exists(),
            (source.common / "HEAD").exists(),
            (source.common / "reftable").exists(),
            (source.common / "objects").stat().st_ino,
            said_by(settings),
            said_by((link, admin / "commondir", admin / "config.worktree", source.common / "config")),
        )
    except OSError:
        return ()


def _owner(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_uid, found.st_ino, found.st_mode
