"""Making bare repositories: git makes the first, the others are the same, file by file."""

import asyncio
import os
from pathlib import Path

import msgspec

from kugetsu.workspace.git import Git
from kugetsu.workspace.rules import RuleBook, said_by


class _Pattern(msgspec.Struct, frozen=True):
    """What `git init` makes: directories, the outermost first, and files with what they hold."""

    folders: tuple[str, ...]
    files: dict[str, bytes]


class Bare:
    """Makes empty bare repositories.

    Args:
        book: says which settings of the user count.
    """

    def __init__(self, book: RuleBook) -> None:
        self._book = book
        self._patterns: dict[tuple[str, int, bytes], _Pattern] = {}

    async def make(self, git: Git, repository: Path, object_format: str) -> None:
        """Make one in an empty directory.

        Args:
            git: git, on the repository.
            repository: the directory.
            object_format: `sha1` or `sha256`.

        Raises:
            RepositoryError, WorkspaceError, OSError: it could not be made.
        """
        # What git writes depends on the file system (whether it has links, and rights) and on the user's settings.
        key = await asyncio.to_thread(_key, repository, object_format, self._book.of_user)
        pattern = self._patterns.get(key)
        if pattern:
            await asyncio.to_thread(_write, pattern, repository)
            return
        before = set(os.listdir(repository))  # noqa: PTH208 - a few names
        # `--template=`: no sample hooks, and none of the user's.
        options = ("--quiet", "--bare", "--template=", f"--object-format={object_format}")
        await git.run("init", *options, repository)
        self._patterns[key] = await asyncio.to_thread(_read, repository, before)


def _key(repository: Path, object_format: str, settings: tuple[str, ...]) -> tuple[str, int, bytes]:
    return object_format, repository.stat().st_dev, said_by(settings)


def _read(repository: Path, leave_out: set[str]) -> _Pattern:
    folders, files = [], {}
    for path in sorted(repository.rglob("*")):
        name = str(path.relative_to(repository))
        if name in leave_out:
            continue
        if path.is_dir():
            folders.append(name)
        else:
            files[name] = path.read_bytes()
    return _Pattern(tuple(folders), files)


def _write(pattern: _Pattern, repository: Path) -> None:
    for name in pattern.folders:
        (repository / name).mkdir(exist_ok=True)
    for name, contents in pattern.files.items():
        (repository / name).write_bytes(contents)
