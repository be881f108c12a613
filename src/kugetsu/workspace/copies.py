"""Whether a repository has the contents of files for good: as blobs that its references lead to."""

import asyncio
import hashlib
import io
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kugetsu.workspace.adding import names_in
from kugetsu.workspace.git import Git, agent_environment
from kugetsu.workspace.private import Private, worthless
from kugetsu.workspace.wording import printable

_AT_ONCE: Final = 500
_CHUNK: Final = 1 << 20


async def is_copy(directory: Path, common: Path, environ: Mapping[str, str]) -> bool:
    """Whether a repository has every file below a directory, whatever its name, so that nothing is lost with it.

    The link of a worktree does not count. A repository inside does, and so do links and files that cannot be read.

    Raises:
        RepositoryError, WorkspaceError: git failed.
    """
    git = Git(common, {**agent_environment(environ), "GIT_DIR": str(common)}, printable(common))
    try:
        paths = await asyncio.to_thread(_files, directory)
    except OSError:
        return False
    return await _has_all(git, paths)


async def has_ignored(private: Private, git: Git, source: Git) -> bool:
    """Whether the worktree holds ignored files whose contents the source has not, beside what tools leave behind.

    Args:
        private: where the worktree is.
        git: git, on its repository.
        source: git, on the source.

    Raises:
        RepositoryError, WorkspaceError: git failed.
    """
    here = git.at(private.worktree, {"GIT_INDEX_FILE": private.index})
    listing = ("ls-files", "--others", "--ignored", "-z")
    found = names_in(await here.run(*listing, "--exclude-standard"))
    found -= names_in(await here.run(*listing, *(f"--exclude={pattern}" for pattern in worthless())))
    return not await _has_all(source, [private.worktree / os.fsdecode(name) for name in sorted(found)])


async def _has_all(git: Git, paths: list[Path]) -> bool:
    """Whether the references of a repository lead to what all these files and links hold.

    What is there at all is asked first, for that is quick; what nothing leads to, git may remove at any time.
    """
    form = (await git.run("rev-parse", "--show-object-format")).decode().strip()
    names: set[bytes] = set()
    for start in range(0, len(paths), _AT_ONCE):
        try:
            some = await asyncio.to_thread(lambda part: {_name(path, form) for path in part}, paths[start:][:_AT_ONCE])
        except OSError:
            return False
        asked = b"".join(name + b"\n" for name in some)
        answers = await git.run("cat-file", "--batch-check=%(objecttype)", stdin=asked)
        if any(line != b"blob" for line in answers.splitlines()):
            return False
        names |= some
    if names:
        reached = await git.run("rev-list", "--objects", "--no-object-names", "--missing=allow-any", "--all")
        names.difference_update(line.rstrip(b"\n") for line in io.BytesIO(reached))
    return not names


def _files(directory: Path) -> list[Path]:
    """The files and links below a directory.

    Raises:
        OSError: something is neither of these nor a directory, or cannot be read.
    """
    found = []

    def refuse(error: OSError) -> None:
        raise error

    for folder, folders, files in os.walk(directory, onerror=refuse):
        top = Path(folder)
        for path in (top / name for name in (*files, *folders)):
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode) or (stat.S_ISREG(mode) and not (path.name == ".git" and top == directory)):
                found.append(path)
            elif not stat.S_ISREG(mode) and (not stat.S_ISDIR(mode) or path.name == ".git"):
                raise OSError(0, "it is no file of a worktree", str(path))
    return found


def _name(path: Path, form: str) -> bytes:
    """The name that git would give to the contents of a file, or to a link.

    Raises:
        OSError: it is neither, cannot be read, or was changed meanwhile.
    """
    digest = (hashlib.sha256 if form == "sha256" else hashlib.sha1)()
    if stat.S_ISLNK(path.lstat().st_mode):
        target = os.fsencode(path.readlink())
        digest.update(b"blob %d\0" % len(target) + target)
        return digest.hexdigest().encode()
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as file:
        size = os.fstat(descriptor).st_size
        digest.update(b"blob %d\0" % size)
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest().encode()
