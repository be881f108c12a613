"""What is set up between Hermes and Kugetsu, what answers, and what is missing."""

import http.client
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from kugetsu.config import load_settings
from kugetsu.errors import ConfigError
from kugetsu.gateway.hermes.places import HermesPlace, chats_of, has_package, read, webhook_address, webhook_way
from kugetsu.gateway.hermes.plan import PLUGIN, PLUGIN_FILE, plugin_source
from kugetsu.gateway.hermes.settings_text import TARGET
from kugetsu.gateway.hermes.yaml_text import YamlText

_SECONDS: Final = 3.0
_SETUP: Final = "run `kugetsu hermes setup`"


class Point(msgspec.Struct, frozen=True):
    """One thing that was looked at.

    Attributes:
        fix: what to do; empty when nothing needs to be done.
    """

    name: str
    good: bool
    detail: str
    fix: str = ""


def examine(place: HermesPlace, settings_path: Path, environ: Mapping[str, str]) -> list[Point]:
    """Look at everything. Never raises for what it finds.

    Raises:
        ConfigError: the settings of Hermes cannot be understood at all.
    """
    yaml = place.yaml()
    return [
        _plugin(place, environ),
        _enabled(yaml),
        *_way_there(place),
        *_way_back(place, yaml, settings_path, environ),
    ]


def _plugin(place: HermesPlace, environ: Mapping[str, str]) -> Point:
    there = place.home / "plugins" / PLUGIN
    if (there / "plugin.yaml").exists():
        source = plugin_source()
        old = [file.name for file in source.glob("*.py") if read(there / file.name) != read(file)]
        if old:
            return Point("plugin", good=False, detail=f"{there} is of another version", fix=f"{_SETUP} again")
        return Point("plugin", good=True, detail=str(there))
    if has_package(environ):
        return Point("plugin", good=True, detail="a package in the Python of hermes")
    return Point("plugin", good=False, detail=f"neither in {there} nor a package of hermes", fix=_SETUP)


def _enabled(yaml: YamlText) -> Point:
    enabled, disabled = yaml.get(("plugins", "enabled")), yaml.get(("plugins", "disabled"))
    if isinstance(disabled, list) and PLUGIN in disabled:
        return Point(
            "enabled", good=False, detail="it is switched off in Hermes", fix="run `hermes plugins enable kugetsu`"
        )
    if isinstance(enabled, list) and PLUGIN in enabled:
        return Point("enabled", good=True, detail="`hermes plugins list` shows it")
    return Point(
        "enabled", good=False, detail="not in Hermes' plugins.enabled", fix="run `hermes plugins enable kugetsu`"
    )


def _way_there(place: HermesPlace) -> Iterator[Point]:
    """How the plugin reaches Kugetsu, asked as the plugin asks."""
    from kugetsu_hermes.desk import open_tasks  # noqa: PLC0415 - needed only here
    from kugetsu_hermes.settings import Settings  # noqa: PLC0415 - as above
    from kugetsu_hermes.settings import load_settings as load_plugin  # noqa: PLC0415 - as above
    from kugetsu_hermes.trouble import Trouble  # noqa: PLC0415 - as above

    path = place.home / PLUGIN_FILE
    try:
        settings: Settings = load_plugin(place.home, {})
    except Trouble as trouble:
        yield Point("settings", good=False, detail=trouble.message, fix=trouble.fix)
        return
    there = path.exists()
    yield Point(
        "settings", good=there, detail=str(path) if there else f"{path} is not there", fix="" if there else _SETUP
    )
    if settings.mode == "spawn":
        program = settings.command[0]
        found = shutil.which(program)
        yield Point("kugetsu", bool(found), f"each task is a process: {found or program}", "" if found else _SETUP)
        return
    tasks = open_tasks(settings)
    if not tasks.available():
        yield Point("kugetsu", good=False, detail=f"nothing answers at {settings.server}", fix="start `kugetsu serve`")
        return
    try:
        tasks.newest((), 1)
        yield Point("kugetsu", good=True, detail=f"the server at {settings.server} lets the plugin in")
    except Trouble as trouble:
        yield Point("kugetsu", good=False, detail=trouble.message, fix=trouble.fix)


def _way_back(place: HermesPlace, yaml: YamlText, settings_path: Path, environ: Mapping[str, str]) -> Iterator[Point]:
    """How news reach the chats."""
    try:
        target = load_settings(environ=environ, config_file=settings_path if settings_path.exists() else None).settings
        hermes = target.notify.get(TARGET)
    except ConfigError as error:
        yield Point("notify", good=False, detail=error.message, fix=error.fix)
        return
    if hermes is None:
        yield Point("notify", good=False, detail=f"`notify.{TARGET}` is not in {settings_path}", fix=_SETUP)
        return
    yield Point("notify", good=True, detail=f"`notify.{TARGET}` in {settings_path}")
    secret = hermes.secret or environ.get(hermes.secret_env, "")
    address = webhook_address(place, yaml.data)
    routes: Any = yaml.get((*webhook_way(yaml.data), "extra", "routes"))
    for chat in _chats(place, yaml):
        name = f"{PLUGIN}-{chat}"
        found = routes.get(name) if isinstance(routes, Mapping) else None
        if not isinstance(found, Mapping):
            yield Point(chat, good=False, detail=f"Hermes has no route {name}", fix=f"{_SETUP} --platform {chat}")
        elif found.get("secret") != secret:
            yield Point(chat, good=False, detail=f"the route {name} has another secret than Kugetsu", fix=_SETUP)
        else:
            yield _answering(chat, address, name)


def _chats(place: HermesPlace, yaml: YamlText) -> tuple[str, ...]:
    """The chats that were set up, else those that are switched on."""
    try:
        found = json.loads(read(place.home / PLUGIN_FILE) or "{}").get("platforms")
    except (ValueError, AttributeError):
        found = None
    return tuple(map(str, found)) if isinstance(found, list) else chats_of(place, yaml.data)


def _answering(chat: str, address: str, name: str) -> Point:
    """Whether the running gateway knows a route: it refuses what is not signed, but only where there is one."""
    there = urlsplit(address)
    connection = http.client.HTTPConnection(there.hostname or "", there.port, timeout=_SECONDS)
    try:
        connection.request("POST", f"/webhooks/{name}", b"{}", {"Content-Type": "application/json"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException):
        fix = "start the gateway of Hermes (`hermes gateway start`), or restart it if it was started before the set-up"
        return Point(chat, good=False, detail=f"no gateway takes webhooks at {address}", fix=fix)
    finally:
        connection.close()
    if status == http.client.UNAUTHORIZED:
        return Point(chat, good=True, detail=f"{address}/webhooks/{name}")
    return Point(
        chat,
        good=False,
        detail=f"{address}/webhooks/{name} answers {status}",
        fix="restart it: `hermes gateway restart`",
    )
