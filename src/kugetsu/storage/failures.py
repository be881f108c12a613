"""What the system refused, in words."""

import errno
from pathlib import Path
from typing import Final

from kugetsu.errors import RecordError

_FIXES: Final = {
    errno.ENOSPC: "free some disk space",
    errno.EDQUOT: "free some disk space, your quota is used up",
    errno.EACCES: "check the rights of its directory",
    errno.EPERM: "check the rights of its directory",
    errno.EROFS: "set KUGETSU_HOME to a directory that you can write to",
}


def cannot(what: str, path: Path, error: OSError) -> RecordError:
    """Make the error for a file that cannot be read or written."""
    return RecordError(f"cannot {what} {path}: {error.strerror or error}", fix=_FIXES.get(error.errno or 0, ""))
