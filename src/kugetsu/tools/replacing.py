"""Files replaced as a whole."""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def replace_file(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a crash, meets the old content or the new one, never a part of either.

    It does not give way to other tasks, so that no cancel can come between its steps. Parents are made. Mode bits
    and, where permitted, the owner are kept; other hard links keep the old content.

    Args:
        path: resolved, so that a link is followed rather than replaced.
        data: the whole new content.

    Raises:
        OSError: it could not be written; the old content stands, and no file or directory is left that was not there.
    """
    with _parents(path.parent):
        before = _status(path)
        # Short names of our own: the file's name may be as long as names can be.
        temporary = path.with_name(f".kugetsu-{secrets.token_hex(8)}.tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
                if before is not None:
                    _take_over(file.fileno(), before)
                file.write(data)
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise


@contextmanager
def _parents(directory: Path) -> Iterator[None]:
    """Make a directory with its parents; those made are removed again when the block fails."""
    missing = [parent for parent in (directory, *directory.parents) if not os.path.lexists(parent)]
    made: list[Path] = []
    try:
        for parent in reversed(missing):
            # Another program may have made it meanwhile.
            with contextlib.suppress(FileExistsError):
                parent.mkdir()
                made.append(parent)
        yield
    except BaseException:
        for parent in reversed(made):
            with contextlib.suppress(OSError):
                parent.rmdir()
        raise


def _status(path: Path) -> os.stat_result | None:
    """The file that will be replaced, None when there is none.

    Raises:
        OSError: it may not be replaced: it is no regular file, or is read-only.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is a pipe, a socket, a device or a broken link, not a regular file", str(path))
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    return status


def _take_over(descriptor: int, before: os.stat_result) -> None:
    made = os.fstat(descriptor)
    if (made.st_uid, made.st_gid) != (before.st_uid, before.st_gid):
        with contextlib.suppress(PermissionError):
            os.fchown(descriptor, before.st_uid, before.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
