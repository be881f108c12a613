"""Which groups belong to which program of a state directory, so that those of a dead one are found and ended.

Each program has one file that names its groups, and holds it locked. The kernel lets go of the lock when the program ends,
however it ends.
"""

import contextlib
import fcntl
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from kugetsu.processes.groups import V2, Group, Place


class Traces:
    """The files of all programs of one state directory.

    Args:
        home: the state directory.
        token: of this program, unique.

    Attributes:
        group: what the groups of this program are called.
    """

    def __init__(self, home: Path, token: str) -> None:
        self._directory = home / "groups"
        self._own = self._directory / token
        self._lock = -1
        self._prefix = f"kugetsu-{hashlib.sha256(bytes(home.resolve())).hexdigest()[:8]}-"
        self.group = f"{self._prefix}{os.getpid()}-{token}"

    def leave(self, paths: Sequence[str]) -> None:
        """Write down the groups that this program is going to make.

        Raises:
            OSError: the disk refused; the groups would not be found after a crash.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Nobody looks at a name with a dot: a file that is not locked yet would be one of a dead program.
        early = self._own.with_name(f".{self._own.name}")
        lock = os.open(early, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            left = "".join(f"{path}\n" for path in paths).encode(errors="surrogateescape")
            while left:  # a disk that fills up takes a part of it
                left = left[os.write(lock, left) :]
            early.rename(self._own)
        except OSError:
            with contextlib.suppress(OSError):
                early.unlink(missing_ok=True)
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
        """The groups of every other program, and whether it is dead; a dead one's file is removed when its groups are gone.

        Raises:
            OSError: after all the others, since one of the files could not be looked at.
        """
        failure: OSError | None = None
        for name in self._names():
            path = self._directory / name
            try:
                file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            except OSError as error:
                failure = error
                continue
            try:
                lines = self._lines(path)
                dead = _locks(file)
                # The version says how a group is limited; these are only to be ended.
                yield Group(tuple(Place(line, V2) for line in lines)), dead
                if dead and not any(Path(line).exists() for line in lines):
                    path.unlink(missing_ok=True)
            except FileNotFoundError:
                continue
            except OSError as error:
                failure = error
            finally:
                os.close(file)
        if failure:
            raise failure

    def _lines(self, path: Path) -> list[str]:
        """The groups that a file names, without what its program cannot have written there."""
        ours = re.compile(rf"/.*/{self._prefix}[0-9]+-{re.escape(path.name)}")
        return [line for line in path.read_text(errors="surrogateescape").split("\n") if ours.fullmatch(line)]

    def any_others(self) -> bool:
        """Whether there is a file of another program, or may be one."""
        try:
            return bool(self._names())
        except OSError:
            return True

    def _names(self) -> list[str]:
        try:
            names = os.listdir(self._directory)  # noqa: PTH208 - names alone
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [name for name in names if name != self._own.name and not name.startswith(".")]


def _locks(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
