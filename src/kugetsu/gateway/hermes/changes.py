"""Changes of files: shown first, then written, with what was there before kept beside it."""

import difflib
import os
import re
import stat
import tempfile
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

import msgspec

from kugetsu.errors import ConfigError

_PRIVATE: Final = 0o600
_HIDDEN: Final = "********"
_SECRET: Final = re.compile(
    r"""(?im)^([-+ ][-\s]*["']?[\w.-]*(?:token|secret|password|api_?key|_key)["']?[ \t]*[:=][ \t]*)(?=\S)(?![\[{]).*$"""
)
"""A line of a settings file that may hold a secret of the user's, which a diff shows around what is changed."""


class Change(msgspec.Struct, frozen=True):
    """What becomes of a file.

    Attributes:
        before: its text; None when it is not there.
        after: its text then.
        private: whether only its user may read it, because it holds a secret.
        ours: whether it is a part of the plugin: shown by its name alone, and not kept.
    """

    path: Path
    before: str | None
    after: str
    private: bool = False
    ours: bool = False

    @property
    def needed(self) -> bool:
        """Whether anything is to be done."""
        return self.before != self.after or (self.private and _others_read(self.path))

    def shown(self, secrets: Collection[str]) -> str:
        """The change as a unified diff, without the secrets."""
        if self.ours:
            lines = self.after.count("\n")
            return f"{'new' if self.before is None else 'replaced'}: {self.path} ({lines} lines)\n"
        if self.before == self.after:
            return f"mode 0600: {self.path}\n"
        old = "/dev/null" if self.before is None else str(self.path)
        lines_ = difflib.unified_diff(_lines(self.before or ""), _lines(self.after), old, str(self.path))
        text = "".join(line if line.endswith("\n") else f"{line}\n" for line in lines_)
        for secret in secrets:
            text = text.replace(secret, _HIDDEN) if secret else text
        return _SECRET.sub(rf"\1{_HIDDEN}", text)


def write(changes: Iterable[Change]) -> list[Path]:
    """Write the changes that are needed; the copies of what was there before.

    Raises:
        ConfigError: a file cannot be written; those before it are.
    """
    kept = []
    for change in changes:
        if not change.needed:
            continue
        path = change.path.resolve()  # a link stays one
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if change.before is not None and change.before != change.after and not change.ours:
                kept.append(_keep(path))
            _replace(path, change)
        except OSError as error:
            raise ConfigError(
                f"cannot write {change.path}: {error.strerror}", fix="mend that, and try again"
            ) from error
    return kept


def _keep(path: Path) -> Path:
    """A copy of a file beside it, for its user alone."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    copy = path.with_name(f"{path.name}.before-kugetsu-{stamp}")
    number = 1
    while copy.exists():
        number += 1
        copy = path.with_name(f"{path.name}.before-kugetsu-{stamp}-{number}")
    with open(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE), "wb") as file:  # noqa: PTH123 - a descriptor
        file.write(path.read_bytes())
    _give(copy, path)
    return copy


def _replace(path: Path, change: Change) -> None:
    """Put the new text in place at once: whoever reads the file sees the old or the new one."""
    mode = _PRIVATE if change.private else _mode(path)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    written = Path(name)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
            file.write(change.after.encode())
            file.flush()
            os.fsync(file.fileno())
        written.chmod(mode)
        _give(written, path if path.exists() else path.parent)
        written.replace(path)
    except BaseException:
        written.unlink(missing_ok=True)
        raise


def _give(file: Path, like: Path) -> None:
    """Let a file belong to whom another belongs: the administrator may set up the Hermes of somebody else."""
    wanted, found = like.stat(), file.stat()
    if (wanted.st_uid, wanted.st_gid) != (found.st_uid, found.st_gid):
        os.chown(file, wanted.st_uid, wanted.st_gid)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o644


def _others_read(path: Path) -> bool:
    return path.exists() and bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)
