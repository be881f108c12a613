"""How important lines are; and the file that changes it while the program runs."""

import contextlib
import logging
import os
import stat
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from kugetsu.config import LogLevel
from kugetsu.errors import ConfigError

LEVELS: Final[dict[LogLevel, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
"""The numbers of the levels, those of the standard library."""

LEVEL_SECONDS: Final = 1.0
"""How often a running program looks whether its level was changed."""

_MOST_READ: Final = 64
_FIX: Final = "`kugetsu log-level LEVEL` writes it anew, `kugetsu log-level --reset` removes it"


def level_name(number: int) -> LogLevel:
    """The level that a number of the standard library falls into."""
    return next((name for name in reversed(LEVELS) if number >= LEVELS[name]), "debug")


class LevelFile:
    """The level that was set at run time: one word in a file of the state directory, over the one in the settings.

    Attributes:
        path: of the file.
    """

    def __init__(self, home: Path) -> None:
        self.path = home / "log-level"

    def read(self) -> LogLevel | None:
        """The level; None when none was set. Never blocks, whatever stands there.

        Raises:
            ConfigError: it cannot be read, or holds something else.
        """
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unreadable(error) from error
        try:
            data = os.read(descriptor, _MOST_READ) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b"?"
        except OSError as error:
            raise self._unreadable(error) from error
        finally:
            os.close(descriptor)
        word = data.decode("ascii", "replace").strip().lower()
        if level := next((name for name in LEVELS if name == word), None):
            return level
        raise ConfigError(f"{self.path} holds no level, but {word[:20]!a}", fix=_FIX)

    def write(self, level: LogLevel) -> None:
        """Set the level; whoever reads sees the old one or the new one.

        Raises:
            ConfigError: it cannot be written.
        """
        temporary = ""
        try:
            descriptor, temporary = tempfile.mkstemp(prefix=".log-level-", dir=self.path.parent)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(f"{level}\n")
            Path(temporary).replace(self.path)
        except OSError as error:
            with contextlib.suppress(OSError):  # what was half written; the error itself is raised
                Path(temporary).unlink()
            raise ConfigError(
                f"cannot write {self.path}: {error.strerror}", fix="look at the state directory"
            ) from error

    def remove(self) -> None:
        """Let the level of the settings be in force again. May be called twice.

        Raises:
            ConfigError: it cannot be removed.
        """
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot remove {self.path}: {error.strerror}", fix="remove it yourself") from error

    def _unreadable(self, error: OSError) -> ConfigError:
        return ConfigError(f"cannot read {self.path}: {error.strerror}", fix=_FIX)


class LevelWatch:
    """Looks once a second which level is set.

    In a thread of its own, so that neither a full disk nor a stuck terminal keeps a change from being seen.

    Args:
        file: where it is set.
        on_change: told the level, None when none is set any more. Called by the thread.
        on_trouble: told in one sentence what is wrong with the file, once until it is well again. Called by the thread.
    """

    def __init__(
        self, file: LevelFile, on_change: Callable[[LogLevel | None], None], on_trouble: Callable[[str], None]
    ) -> None:
        self._file = file
        self._on_change = on_change
        self._on_trouble = on_trouble
        self._seen: LogLevel | None = None
        self._trouble = ""
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kugetsu-log-level", daemon=True)

    def open(self) -> None:
        """Look for the first time, and go on in the thread."""
        self.look()
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self._thread.join(LEVEL_SECONDS)

    def look(self) -> None:
        """Look now. Never raises; a file that holds no level changes nothing."""
        try:
            level = self._file.read()
        except ConfigError as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                self._on_trouble(self._trouble)
            return
        self._trouble = ""
        if level != self._seen:
            self._seen = level
            self._on_change(level)

    def _run(self) -> None:
        while not self._closing.wait(LEVEL_SECONDS):
            self.look()
