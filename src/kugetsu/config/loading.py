"""Settings in force: defaults, the user's file, the repository's file, variables and flags, the later over the earlier."""

import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from kugetsu.config.fields import Field, dotted, is_secret, values
from kugetsu.config.layers import Layer, Stack, file_layer
from kugetsu.config.paths import CONFIG_NAME, repository_top, user_config_file
from kugetsu.config.repository import restrict
from kugetsu.config.settings import Settings
from kugetsu.config.variables import variable_layer
from kugetsu.errors import ConfigError

COMMAND_LINE: Final = "command line"
_NO_FLAGS: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True)
class Loaded:
    """Settings, and how they came about.

    Attributes:
        settings: what is in force.
        origins: for each field (`limits.turns`) where its value comes from: `default`, `built in`, a file, a variable or
            `command line`.
        notices: what was left out and why, one sentence each. Neither they nor `origins` ever hold a value.
    """

    settings: Settings
    origins: dict[str, str]
    notices: tuple[str, ...] = ()


def load_settings(
    *,
    environ: Mapping[str, str],
    repo: Path | None = None,
    config_file: Path | None = None,
    flags: Mapping[str, Any] = _NO_FLAGS,
) -> Loaded:
    """Put the settings together.

    Args:
        environ: all variables.
        repo: a directory of the repository whose own `kugetsu.toml` counts, within what a repository may set.
        config_file: the user's settings file; None for the one that `KUGETSU_CONFIG` names, or `user_config_file`.
        flags: what the command line says, by field: `{"model": ..., "limits": {"turns": ...}}` or `{"limits.turns": ...}`.
            None stands for a flag that was not given.

    Raises:
        ConfigError: a file cannot be read or is no TOML, or a field is unknown, of the wrong type or out of range. The
            message names the place, the field and what is expected, never a key.
    """
    stack = Stack()
    notices: list[str] = []
    user_file = _add_users_file(stack, environ, config_file, notices)
    if repo is not None:
        _add_repository(stack, repository_top(repo.absolute()) / CONFIG_NAME, user_file, notices)
    layer, strange = variable_layer(environ, stack.settings.providers)
    notices += strange
    stack.add(layer)
    stack.add(Layer(_nested(flags), COMMAND_LINE))
    return Loaded(stack.settings, stack.origins, tuple(notices))


def describe(loaded: Loaded) -> list[tuple[str, str, str]]:
    """Every field in force, its value as TOML writes it (a key: `(set)`), and where it comes from."""
    return [(dotted(way), _shown(way, value), loaded.origins[dotted(way)]) for way, value in values(loaded.settings)]


def _add_users_file(stack: Stack, environ: Mapping[str, str], config_file: Path | None, notices: list[str]) -> Path:
    named = config_file or (Path(given) if (given := environ.get("KUGETSU_CONFIG")) else None)
    path = named.expanduser() if named else user_config_file(environ)
    layer = file_layer(path)
    if layer is not None:
        stack.add(layer)
        if _others_read_keys(path, layer):
            notices.append(f"{path} holds a secret and can be read by other users: chmod 600 {path}")
    elif named:
        raise ConfigError(f"the settings file {path} does not exist", fix="check --config and KUGETSU_CONFIG")
    return path


def _others_read_keys(path: Path, layer: Layer) -> bool:
    if not any(is_secret(way) and value for way, value in values(layer.data)):
        return False
    try:
        return bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
    except OSError:
        return False


def _add_repository(stack: Stack, path: Path, user_file: Path, notices: list[str]) -> None:
    if _same(path, user_file) or (layer := file_layer(path)) is None:
        return
    restricted, left_out = restrict(layer, stack, str(user_file))
    notices += left_out
    stack.add(restricted)


def _same(path: Path, other: Path) -> bool:
    """Whether the repository's file is the very file that the user chose as their own."""
    try:
        return path.samefile(other)
    except OSError:
        return False


def _nested(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Flags as nested tables, without those that were not given."""
    data: dict[str, Any] = {}
    for name, value in flags.items():
        table = data
        *way, last = name.split(".")
        for part in way:
            table = table.setdefault(part, {})
        if isinstance(value, Mapping):
            table.setdefault(last, {}).update(_nested(value))
        elif value is not None:
            table[last] = value
    return data


def _shown(way: Field, value: object) -> str:
    if is_secret(way):
        return "(set)" if value else "(not set)"
    if isinstance(value, str):
        if way[0] == "notify" and way[-1] == "url":
            value = _place_alone(value)
        return _quoted(_without_password(value) if way[-1] in {"base_url", "url"} else value)
    return "" if value is None else json.dumps(msgspec.to_builtins(value))


def _quoted(text: str) -> str:
    """The text as TOML writes it, with escapes for all that a terminal would obey or not show."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in quoted)


def _place_alone(url: str) -> str:
    """An address without its path, which is the secret of many a chat's hook."""
    start, slashes, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    return f"{start}{slashes}{place}{slash}{'(set)' if path else ''}"


def _without_password(url: str) -> str:
    """An address without the user and password that may stand in it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(not an address)"
    place = parts.netloc.rpartition("@")[2]
    hidden = parts._replace(netloc=f"(set)@{place}" if "@" in parts.netloc else place)
    return hidden._replace(query="(set)" if parts.query else "").geturl()
