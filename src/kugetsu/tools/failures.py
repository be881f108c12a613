"""What the operating system refuses, in words for the model."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from kugetsu.errors import ToolError

_REASONS: Final = {
    errno.EACCES: ("permission denied", ""),
    errno.EPERM: ("the operation is not permitted", ""),
    errno.EROFS: ("the file system is read-only", ""),
    errno.ENOSPC: ("the disk is full", "nothing was changed; free some space first"),
    errno.EDQUOT: ("the disk quota is used up", "nothing was changed; free some space first"),
    errno.EFBIG: ("the file would be larger than allowed", "nothing was changed"),
    errno.ENOENT: ("no such file or directory", "look with ls or find"),
    errno.ENOTDIR: ("a part of the path is a file, not a directory", "look with ls"),
    errno.EEXIST: ("a part of the path is a file, not a directory", "look with ls"),
    errno.EISDIR: ("it is a directory", ""),
    errno.ENAMETOOLONG: ("the name is too long", "use a shorter one"),
    errno.ELOOP: ("its symbolic links form a loop", ""),
}


@contextmanager
def explained(action: str, name: str) -> Iterator[None]:
    """Turn an `OSError` of the block into a `ToolError`.

    Args:
        action: what was tried, as it follows `Cannot`.
        name: the file as messages name it.
    """
    try:
        yield
    except OSError as error:
        reason, fix = _REASONS.get(error.errno or 0, (error.strerror or str(error), ""))
        raise ToolError(f"Cannot {action} {name}: {reason}", fix=fix) from error
