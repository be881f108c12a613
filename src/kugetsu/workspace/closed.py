"""Folders of a worktree that their owner may not read or write, which stand in the way of what is put back."""

import os
import stat
from contextlib import suppress
from pathlib import Path


def closed_folders(top: Path) -> list[Path]:
    """The folders in a directory, itself included, that lack a right of their owner; repositories inside are left out.

    What is in one that cannot be read is not found before it is opened.
    """
    found, pending = [], [top]
    while pending:
        folder = pending.pop()
        with suppress(OSError):
            if not _is_open(folder):
                found.append(folder)
            with os.scandir(folder) as entries:
                inner = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
            if folder == top or not os.path.lexists(folder / ".git"):
                pending += [Path(path) for path in inner if not path.endswith("/.git")]
    return found


def open_folder(folder: Path) -> None:
    """Give the owner every right on a folder. One that goes away, or is not ours, is left as it is."""
    with suppress(OSError):
        if not _is_open(folder):
            folder.chmod(stat.S_IMODE(folder.lstat().st_mode) | stat.S_IRWXU)


def _is_open(folder: Path) -> bool:
    return folder.lstat().st_mode & stat.S_IRWXU == stat.S_IRWXU
