"""How the plugin reaches Kugetsu: `kugetsu.json` in the home of Hermes, overridden by variables."""

import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from .trouble import Trouble

FILE_NAME: Final = "kugetsu.json"
"""Name of the file in the home of Hermes; only its user may read it, for it can hold a token."""

MODES: Final = ("http", "spawn")

_MOST_BYTES: Final = 65_536
_VARIABLES: Final = {
    "mode": "KUGETSU_HERMES_MODE",
    "server": "KUGETSU_SERVER",
    "token": "KUGETSU_TOKEN",
    "command": "KUGETSU_HERMES_COMMAND",
    "target": "KUGETSU_HERMES_TARGET",
    "repo": "KUGETSU_HERMES_REPO",
}


@dataclass(frozen=True)
class Settings:
    """How the plugin reaches Kugetsu.

    Attributes:
        mode: `http` asks a server; `spawn` starts the program `kugetsu` for each task. Default `http`.
        server: where it listens (http). Default `http://127.0.0.1:8787`.
        token: with the scopes submit, read and control; empty when the server wants none (http).
        command: the program and its first arguments (spawn). Default `kugetsu`, as PATH finds it.
        target: the name under `notify` in Kugetsu's settings that brings news back here. Default `hermes`.
        platforms: where news can come back to; None for everywhere.
        repo: where tasks work that name no repository; a short name, a path or a URL. Default: none.
        repositories: paths or URLs by the short names that chats use.
        seconds: how long an answer may take. Default 10.
    """

    mode: str = "http"
    server: str = "http://127.0.0.1:8787"
    token: str = field(default="", repr=False)
    command: tuple[str, ...] = ("kugetsu",)
    target: str = "hermes"
    platforms: tuple[str, ...] | None = None
    repo: str = ""
    repositories: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 10.0

    def repository(self, name: str) -> str:
        """The path or URL that a name stands for; empty for the default one, or when there is none."""
        name = name.strip() or self.repo
        return self.repositories.get(name, name)


def hermes_home() -> Path:
    """The home of the Hermes that runs this, or of this user's."""
    try:
        return Path(import_module("hermes_constants").get_hermes_home())
    except (ImportError, AttributeError):
        return Path(os.environ.get("HERMES_HOME", "").strip() or "~/.hermes").expanduser()


def load_settings(home: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; a file that is not there sets nothing.

    Raises:
        Trouble: the file or a variable cannot be understood; says which field.
    """
    path = (home or hermes_home()) / FILE_NAME
    given = _read(path)
    known = {each.name for each in fields(Settings)}
    if unknown := sorted(set(given) - known):
        raise Trouble(f"{path} has the unknown field {unknown[0]!r}", fix=f"known are {', '.join(sorted(known))}")
    settings = replace(Settings(), **{name: _value(name, value, path) for name, value in given.items()})
    return _with_variables(settings, os.environ if environ is None else environ)


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Trouble(f"cannot read {path}: {error.strerror}") from error
    try:
        found = json.loads(data) if len(data) <= _MOST_BYTES else None
    except ValueError as error:
        raise Trouble(f"{path} is no JSON: {error}", fix="mend it, or run `kugetsu hermes setup` again") from error
    if not isinstance(found, dict):
        raise Trouble(f"{path} is not what `kugetsu hermes setup` writes", fix="run it again")
    return found


def _value(name: str, value: object, path: Path | str) -> Any:  # noqa: ANN401 - one of the fields' types
    match name, value:
        case "command", list() if value and all(isinstance(part, str) and part for part in value):
            return tuple(value)
        case "platforms", list() if all(isinstance(part, str) for part in value):
            return tuple(value)
        case "repositories", dict() if all(isinstance(part, str) for part in value.values()):
            return value
        case "seconds", int() | float() if not isinstance(value, bool) and value > 0:
            return float(value)
        case "mode", str() if value in MODES:
            return value
        case "server" | "token" | "target" | "repo", str():
            return value
        case _:
            raise Trouble(f"{path}: `{name}` cannot be what it is", fix="run `kugetsu hermes setup` again")


def _with_variables(settings: Settings, environ: Mapping[str, str]) -> Settings:
    changes: dict[str, Any] = {}
    for name, variable in _VARIABLES.items():
        if text := environ.get(variable, ""):
            changes[name] = _value(name, shlex.split(text) if name == "command" else text, variable)
    return replace(settings, **changes)
