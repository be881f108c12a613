"""Where things are: the user's settings file, and the directory of everything that is kept."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kugetsu.errors import ConfigError

CONFIG_NAME: Final = "kugetsu.toml"
"""Name of a settings file, the user's as well as a repository's."""

_HOME_FIX: Final = "set KUGETSU_HOME to a directory that you can write to"


def state_home(environ: Mapping[str, str]) -> Path:
    """The directory of all that is kept: tasks, clones, worktrees. Absolute and resolved; need not exist.

    `KUGETSU_HOME`, else `$XDG_STATE_HOME/kugetsu`, else the platform's state directory of the user who runs this.
    """
    if given := environ.get("KUGETSU_HOME"):
        return Path(given).expanduser().resolve()
    if base := _base_directory(environ, "XDG_STATE_HOME"):
        return (base / "kugetsu").resolve()
    from platformdirs import user_state_path  # noqa: PLC0415 - needed only when no variable says it

    return user_state_path("kugetsu").resolve()


def repository_top(directory: Path) -> Path:
    """The top of the checkout that a directory belongs to: the nearest that holds `.git`; itself when there is none."""
    return next((each for each in (directory, *directory.parents) if os.path.lexists(each / ".git")), directory)


def prepare_home(home: Path) -> Path:
    """Make the state directory, readable by its user alone, unless it is there; returns it.

    Raises:
        ConfigError: it is no directory, or nothing can be written there.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Asking for the rights is not enough: a read-only file system may grant them.
        with tempfile.TemporaryFile(dir=home):
            return home
    except OSError as error:
        raise ConfigError(f"cannot write to the state directory {home}: {error.strerror}", fix=_HOME_FIX) from error


def user_config_file(environ: Mapping[str, str]) -> Path:
    """The user's settings file: `$XDG_CONFIG_HOME/kugetsu/kugetsu.toml` or the same below `~/.config`."""
    base = _base_directory(environ, "XDG_CONFIG_HOME") or Path("~/.config").expanduser()
    return base / "kugetsu" / CONFIG_NAME


def _base_directory(environ: Mapping[str, str], variable: str) -> Path | None:
    """A base directory as the XDG specification defines it: a relative one counts as none."""
    value = environ.get(variable, "")
    return Path(value) if value and Path(value).is_absolute() else None
