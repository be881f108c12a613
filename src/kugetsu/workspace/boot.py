"""Whether the machine went down since a worktree was last known to be whole: then its newest files may be lost."""

from pathlib import Path
from typing import Final

from kugetsu.workspace.durable import replace_file

_NAME: Final = "kugetsu-boot"
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Boot:
    """What the private repository says of the start of the machine in which its worktree was whole.

    Args:
        repository: the task's private repository.
    """

    def __init__(self, repository: Path) -> None:
        self._path = repository / _NAME
        self._now = _read(_BOOT_ID)
        self._noted = False

    @property
    def changed(self) -> bool:
        """Whether the machine went down since; False when that is not known."""
        if self._noted or not self._now:
            return False
        noted = _read(self._path)
        return noted is not None and noted != self._now

    def note(self, *, durably: bool = True) -> None:
        """The worktree is whole now.

        Args:
            durably: False when the caller makes sure of that.

        Raises:
            OSError: the machine refused.
        """
        if self._now and not self._noted:
            if _read(self._path) != self._now:
                contents = self._now + b"\n"
                replace_file(self._path, contents) if durably else self._path.write_bytes(contents)
            self._noted = True


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes().strip()
    except OSError:
        return None
