"""Settings files: read within bounds, since a repository's own file may be anybody's."""

import os
import re
import stat
import tomllib
from pathlib import Path
from typing import Any, Final

from kugetsu.config.fields import Field
from kugetsu.errors import ConfigError

MAX_BYTES: Final = 65_536
"""Largest settings file."""

_MAX_PARTS: Final = 32
"""Longest dotted key. tomllib takes time and memory with the square of its parts: seven seconds for 20,000."""

_LONGEST_NAME: Final = 500
"""Characters of a key that is worth looking for on its line."""

# A string that is not closed goes on to its end, for tomllib stops there too: so the search never goes back.
_STRING_OR_COMMENT: Final = re.compile(
    r'"""(?:\\.|[^\\])*?(?:"{3,5}|\Z)'
    r"|'''.*?(?:'{3,5}|\Z)"
    r'|"(?:\\[^\n]|[^"\\\n])*+"?'
    r"|'[^'\n]*+'?"
    r"|#[^\n]*+",
    re.DOTALL,
)
_LONG_KEY: Final = re.compile(rf"(?<![\w-])[\w-]++(?:[ \t]*+\.[ \t]*+[\w-]++){{{_MAX_PARTS}}}")
_HEADER: Final = re.compile(r"\s*+\[++([^\]]++)\]")
_KEY: Final = re.compile(r"\s*+([^=#\[{]++)=")


def read_text(path: Path) -> str | None:
    """Read a settings file; None when there is none.

    Raises:
        ConfigError: it cannot be read, is no file, is too large or is not UTF-8.
    """
    try:
        data = _read(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > MAX_BYTES:
        raise ConfigError(
            f"{path} is larger than {MAX_BYTES:,} bytes", fix="settings are short; is this the right file?"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}:{line}: byte 0x{data[error.start]:02x} is not UTF-8", fix="save it as UTF-8"
        ) from error


def _read(path: Path) -> bytes:
    """The bytes of a regular file, one more than allowed at most. Never waits, as opening a pipe would."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
        if not stat.S_ISREG(os.fstat(descriptor).st_mode) and path != Path(os.devnull):
            raise ValueError("it is no regular file")
        return file.read(MAX_BYTES + 1)


def parse(text: str, path: Path) -> dict[str, Any]:
    """Parse a settings file.

    Raises:
        ConfigError: it is no TOML; the message names the line.
    """
    _refuse_long_keys(text, path)
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ConfigError(f"{path}: lists or tables are nested too deep") from error
    except ValueError as error:
        raise ConfigError(f"{path} is no TOML: {error}") from error


def _refuse_long_keys(text: str, path: Path) -> None:
    if _LONG_KEY.search(_STRING_OR_COMMENT.sub("x", text)):
        raise ConfigError(f"{path}: a key has more than {_MAX_PARTS} parts")


def line_of(text: str, field: Field) -> int | None:
    """The line that sets a field, or else the nearest table around it; None when there is neither.

    tomllib keeps no positions, so lines are read one by one; inside strings of several lines this may be fooled.
    """
    table: Field = ()
    best: tuple[int, int] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            way = table = _way(header[1])
        elif key := _KEY.match(line):
            way = table + _way(key[1])
        else:
            continue
        if way and way == field[: len(way)] and (best is None or len(way) > best[0]):
            best = len(way), number
    return best[1] if best else None


def _way(key: str) -> Field:
    """The parts of a dotted key; none when it is no key."""
    if len(key) > _LONGEST_NAME:
        return ()
    try:
        table: Any = tomllib.loads(f"{key.strip()} = 0")
    except tomllib.TOMLDecodeError:
        return ()
    way: list[str] = []
    while isinstance(table, dict):
        name, table = next(iter(table.items()))
        way.append(name)
    return tuple(way)
