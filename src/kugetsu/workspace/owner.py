"""Whose a task's worktree is: the last process that made or opened it; an earlier one, revived, keeps its hands off."""

import contextlib
import fcntl
import os
import secrets
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Final

from kugetsu.errors import LeaseLostError
from kugetsu.workspace.reading import beginning
from kugetsu.workspace.wording import printable

_NAME: Final = "kugetsu-owner"


class Owner:
    """The right to change one worktree.

    The queue's lease decides who has a task. This is for what the queue cannot see: a worker that was stopped in the
    middle of a method, lost its lease meanwhile, and goes on. It is asked before each step that changes anything.

    As long as it is there, `in_use` finds it; not when its process has ended.

    Args:
        repository: the task's private repository.
    """

    def __init__(self, repository: Path) -> None:
        self._path = repository / _NAME
        self._token = secrets.token_hex(8).encode()
        self._let_go: Callable[[], object] = _nothing

    def claim(self) -> None:
        """Take the worktree over.

        Raises:
            OSError: the machine refused.
        """
        # All tokens have one length, so one write takes the place of another: no reader sees a part.
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._let_go()  # of a file that was there before
        self._let_go = weakref.finalize(self, os.close, descriptor)
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        os.pwrite(descriptor, self._token, 0)

    def check(self) -> None:
        """Do nothing while the worktree is ours, or its repository is gone.

        Raises:
            LeaseLostError: somebody else took it over.
        """
        if not self.holds:
            raise LeaseLostError(f"another process works in {printable(self._path.parent)} now")

    @property
    def holds(self) -> bool:
        """Whether nobody else took it over."""
        found = beginning(self._path)
        return found is None or found == self._token


def in_use(repository: Path) -> bool:
    """Whether a process that lives made or opened a task's repository, and still holds it."""
    try:
        descriptor = os.open(repository / _NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # it is held; or a file system without locks, where nobody knows
        return True
    finally:
        os.close(descriptor)
    return False


def _nothing() -> None:
    """Nothing is held."""
