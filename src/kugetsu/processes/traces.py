"""Which groups belong to which program of a state directory, so that those of a dead one are found and ended.

Each program has one file that names its groups, and holds it locked. The kernel lets go of the lock when the program ends,
however it ends.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from kugetsu.processes.groups import V2, Group, Place


class Traces:
    """The files of all programs of one state directory.

    Args:
        home: the state directory.
        name: of this program, unique.
    """

    def __init__(self, home: Path, name: str) -> None:
        self._directory = home / "groups"
        self._own = self._directory / name
        self._lock = -1

    def leave(self, paths: Sequence[str]) -> None:
        """Write down the groups that this program is going to make.

        Raises:
            OSError: the disk refused; the groups would not be found after a crash.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._own, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            os.write(lock, "".join(f"{path}\n" for path in paths).encode(errors="surrogateescape"))
        except OSError:
            os.close(lock)
            raise
        self._lock = lock

    def clear(self) -> None:
        """Forget this program, since its groups are gone."""
        if self._lock >= 0:
            with contextlib.suppress(OSError):
                self._own.unlink()
            os.close(self._lock)
            self._lock = -1

    def others(self) -> Iterator[tuple[Group, bool]]:
        """The groups of every other program, and whether it is dead; a dead one's file is removed when its groups are gone."""
        for name in self._names():
            path = self._directory / name
            try:
                file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                lines = path.read_text(errors="surrogateescape").splitlines()
                dead = _locks(file)
                # The version says how a group is limited; these are only to be ended.
                yield Group(tuple(Place(line, V2) for line in lines)), dead
                if dead and not any(Path(line).exists() for line in lines):
                    path.unlink(missing_ok=True)
            except OSError:
                continue
            finally:
                os.close(file)

    def any_others(self) -> bool:
        """Whether there is a file of another program."""
        return bool(self._names())

    def _names(self) -> list[str]:
        try:
            names = os.listdir(self._directory)  # noqa: PTH208 - names alone
        except OSError:
            return []
        return [name for name in names if name != self._own.name]


def _locks(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
