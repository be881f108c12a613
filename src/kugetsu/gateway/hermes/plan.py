"""What has to be written so that Hermes and Kugetsu know each other."""

import json
import re
import secrets
import shutil
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from kugetsu.errors import ConfigError, UsageError
from kugetsu.gateway.hermes.changes import Change
from kugetsu.gateway.hermes.places import HermesPlace, chats_of, has_package, read, webhook_address, webhook_way
from kugetsu.gateway.hermes.settings_text import TARGET, Known, known, with_target
from kugetsu.gateway.hermes.yaml_text import NotChangeableError, YamlText

Mode = Literal["http", "spawn"]
"""How Hermes reaches Kugetsu: a server, or a program for each task."""

PLUGIN: Final = "kugetsu"
"""The name of the plugin and of its tools' set, in Hermes."""

PLUGIN_FILE: Final = "kugetsu.json"

_RATE: Final = 600
"""Webhooks a minute that Hermes takes on one route; its own default of 30 is fewer than busy shadows have news."""

_CHAT: Final = re.compile(r"[a-z][a-z0-9_]{0,30}")
_SECRET_BYTES: Final = 32


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """How a user wants it.

    Attributes:
        mode: None to leave it as it is; at first `http`.
        platforms: chats that news come back to; empty for all that are switched on.
        server: where Kugetsu listens; empty to leave it as it is.
        repositories: paths or URLs by short names; the first of all is the default.
    """

    mode: Mode | None = None
    platforms: tuple[str, ...] = ()
    server: str = ""
    repositories: dict[str, str] = {}


class Plan(msgspec.Struct, frozen=True):
    """What is to be written.

    Attributes:
        changes: in the order in which they are written.
        secrets: what must not be shown.
        platforms: chats that news come back to.
        mode: how Hermes reaches Kugetsu.
        needs_token: whether the plugin has no token yet.
    """

    changes: tuple[Change, ...]
    secrets: tuple[str, ...]
    platforms: tuple[str, ...]
    mode: str
    needs_token: bool

    @property
    def needed(self) -> tuple[Change, ...]:
        """Those that change anything."""
        return tuple(change for change in self.changes if change.needed)


def make_plan(
    place: HermesPlace, settings_path: Path, wish: Wish, environ: Mapping[str, str], *, token: str = ""
) -> Plan:
    """Find out what has to be written. Changes nothing.

    Args:
        place: the user's Hermes.
        settings_path: the user's settings of Kugetsu.
        wish: how it is wanted.
        environ: all variables.
        token: for the plugin; empty to leave it as it is.

    Raises:
        ConfigError: a file cannot be understood.
        UsageError: no chat is known.
    """
    yaml = place.yaml()
    platforms = _platforms(place, yaml, wish)
    before = read(settings_path)
    known_there = known(before, settings_path)
    secret = _secret(known_there, yaml, environ)
    after = with_target(
        before,
        settings_path,
        f"{webhook_address(place, yaml.data)}/webhooks/{PLUGIN}-{{platform}}",
        "" if known_there.secret_env else secret,
    )
    plugin = _plugin_settings(place, wish, platforms, token)
    changes = (
        Change(settings_path, before, after, private=True),
        Change(place.config, place.text, _hermes_config(place, yaml, platforms, secret), private=True),
        plugin,
        *_plugin_files(place, environ),
    )
    now = json.loads(plugin.after)
    hidden = tuple(each for each in (secret, known_there.secret, token, now.get("token", "")) if each)
    return Plan(changes, hidden, platforms, now["mode"], not now.get("token"))


def route(platform: str, secret: str) -> dict[str, Any]:
    """The route in Hermes that brings news into one chat, without a model."""
    return {
        "secret": secret,
        "deliver_only": True,
        "deliver": platform,
        "deliver_extra": {"chat_id": "{reply_to.chat_id}", "thread_id": "{reply_to.thread_id}"},
        "prompt": "{text}",
    }


def _platforms(place: HermesPlace, yaml: YamlText, wish: Wish) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(wish.platforms)) or chats_of(place, yaml.data)
    for name in found:
        if not _CHAT.fullmatch(name):
            raise UsageError(f"{name!a} is no chat of Hermes", fix="name it as Hermes does, for example telegram")
    if not found:
        raise UsageError(
            f"no chat is switched on in {place.config}",
            fix="set one up with `hermes gateway setup`, or name it: --platform telegram",
        )
    return found


def _secret(there: Known, yaml: YamlText, environ: Mapping[str, str]) -> str:
    """What both sides share: what one of them has already, else a new one."""
    if there.secret_env:
        if value := environ.get(there.secret_env, ""):
            return value
        raise ConfigError(
            f"`notify.{TARGET}` takes its secret from {there.secret_env}, which is not set here",
            fix=f"set {there.secret_env}, then run this again",
        )
    if there.secret:
        return there.secret
    routes = yaml.get((*webhook_way(yaml.data), "extra", "routes"))
    for name, found in routes.items() if isinstance(routes, Mapping) else ():
        if str(name).startswith(f"{PLUGIN}-") and isinstance(found, Mapping) and found.get("secret"):
            return str(found["secret"])
    return secrets.token_hex(_SECRET_BYTES)


def _hermes_config(place: HermesPlace, yaml: YamlText, platforms: Sequence[str], secret: str) -> str:
    """Its settings as they have to be."""
    webhook = webhook_way(yaml.data)
    extra = (*webhook, "extra")
    try:
        yaml.add(("plugins", "enabled"), PLUGIN)
        yaml.remove(("plugins", "disabled"), PLUGIN)
        if not yaml.get((*webhook, "enabled")):
            yaml.put((*webhook, "enabled"), True)
            if yaml.get((*extra, "host")) is None:
                yaml.put((*extra, "host"), "127.0.0.1")
        if yaml.get((*extra, "rate_limit")) is None:
            yaml.put((*extra, "rate_limit"), _RATE)
        for platform in platforms:
            yaml.put((*extra, "routes", f"{PLUGIN}-{platform}"), route(platform, secret))
        for name in ("cli", *platforms):
            if isinstance(yaml.get(("platform_toolsets", name)), list):
                yaml.add(("platform_toolsets", name), PLUGIN)
    except NotChangeableError as error:
        raise ConfigError(f"{place.config}: {error}", fix=_by_hand(platforms)) from error
    return yaml.text


def _by_hand(platforms: Sequence[str]) -> str:
    names = ", ".join(f"{PLUGIN}-{platform}" for platform in platforms)
    return (
        "let Hermes write the file anew (`hermes config set plugins.enabled '[kugetsu]'`) and run this again,"
        f" or add the plugin and the routes {names} by hand as docs/hermes.md shows"
    )


def _plugin_settings(place: HermesPlace, wish: Wish, platforms: Sequence[str], token: str) -> Change:
    """How the plugin reaches Kugetsu; what the user has there stays."""
    path = place.home / PLUGIN_FILE
    before = read(path)
    try:
        found = json.loads(before) if before else {}
    except ValueError as error:
        raise ConfigError(f"{path} is no JSON: {error}", fix="mend or remove it, then run this again") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{path} is no object", fix="remove it, then run this again")
    after: dict[str, Any] = {"mode": "http", **found}
    after |= {"mode": wish.mode} if wish.mode else {}
    after |= {"target": TARGET, "platforms": list(platforms)}
    if after["mode"] == "spawn":
        after.setdefault("command", _command())
    else:
        after["server"] = wish.server or after.get("server") or "http://127.0.0.1:8787"
    after |= {"token": token} if token else {}
    if wish.repositories:
        after["repositories"] = {**after.get("repositories", {}), **wish.repositories}
        after.setdefault("repo", next(iter(wish.repositories)))
    text = before if after == found and before else json.dumps(after, indent=2, ensure_ascii=False) + "\n"
    return Change(path, before, text, private=True)


def _command() -> list[str]:
    """The program that this is: by its whole path, for the Hermes of a service knows few directories."""
    program = shutil.which("kugetsu", path=str(Path(sys.executable).parent)) or shutil.which("kugetsu")
    return [program] if program else [sys.executable, "-m", "kugetsu"]


def _plugin_files(place: HermesPlace, environ: Mapping[str, str]) -> list[Change]:
    """The plugin's own files in the home of Hermes, unless its Python has them as a package."""
    there = place.home / "plugins" / PLUGIN
    manifest = read(there / "plugin.yaml")
    if manifest is None and there.exists() and any(there.iterdir()):
        raise ConfigError(f"{there} is there already, and is something else", fix="move it away, then run this again")
    if manifest is None and has_package(environ):
        return []
    source = plugin_source()
    files = sorted([*source.glob("*.py"), source / "plugin.yaml"])
    return [Change(there / file.name, read(there / file.name), file.read_text(), ours=True) for file in files]


def plugin_source() -> Path:
    """Where the plugin's files are installed beside Kugetsu.

    Raises:
        ConfigError: they are not.
    """
    found = find_spec("kugetsu_hermes")
    if found is None or found.origin is None:
        raise ConfigError(
            "the package kugetsu_hermes is not installed beside kugetsu",
            fix="install kugetsu again, as its README says",
        )
    return Path(found.origin).parent
