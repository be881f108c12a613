"""What is there of Hermes: its home, its program, its chats, and where it takes webhooks."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from kugetsu.errors import ConfigError
from kugetsu.gateway.hermes.yaml_text import NotChangeableError, Way, YamlText

DEFAULT_PORT: Final = 8644
"""Where the gateway of Hermes takes webhooks unless it is told otherwise."""

CONFIG: Final = "config.yaml"

_MOST_BYTES: Final = 4_000_000
_PROBE: Final = (
    "import importlib.metadata as m; print(len(m.entry_points(group='hermes_agent.plugins', name='kugetsu')))"
)
_PROBE_SECONDS: Final = 20.0
_EVERYWHERE: Final = frozenset({"", "0.0.0.0", "::", "*"})  # noqa: S104 - an address to look for, not to listen on
_NO_CHATS: Final = frozenset({"webhook", "api_server", "msgraph_webhook", "relay", "local", "homeassistant"})
_VARIABLES: Final = {
    "TELEGRAM_BOT_TOKEN": "telegram",
    "DISCORD_BOT_TOKEN": "discord",
    "SLACK_BOT_TOKEN": "slack",
    "SIGNAL_HTTP_URL": "signal",
    "MATTERMOST_TOKEN": "mattermost",
    "MATRIX_ACCESS_TOKEN": "matrix",
    "WHATSAPP_ENABLED": "whatsapp",
}
"""Variables in Hermes' own file of them that switch a chat on."""

_TRUE: Final = frozenset({"1", "true", "yes", "on"})


class HermesPlace(msgspec.Struct, frozen=True):
    """The Hermes of a user.

    Attributes:
        home: its directory.
        text: of its settings; None when there are none.
        variables: those of its own file.
    """

    home: Path
    text: str | None
    variables: dict[str, str]

    @property
    def config(self) -> Path:
        """The file of its settings."""
        return self.home / CONFIG

    def yaml(self) -> YamlText:
        """Its settings, to be changed.

        Raises:
            ConfigError: they cannot be understood.
        """
        try:
            return YamlText(self.text or "")
        except NotChangeableError as error:
            raise ConfigError(f"{self.config}: {error}", fix="mend it, then run this again") from error


def find_hermes(home: Path | None, environ: Mapping[str, str]) -> HermesPlace:
    """Look at the Hermes of a user.

    Args:
        home: its directory; None for the one that HERMES_HOME names, or `~/.hermes`.
        environ: all variables.

    Raises:
        ConfigError: there is none, or it cannot be read.
    """
    home = (home or Path(environ.get("HERMES_HOME", "").strip() or "~/.hermes")).expanduser().absolute()
    if not home.is_dir():
        raise ConfigError(
            f"there is no Hermes at {home}", fix="install it and run it once, or name its home with --hermes-home"
        )
    text = read(home / CONFIG)
    return HermesPlace(home, text, _variables(read(home / ".env") or ""))


def read(path: Path) -> str | None:
    """The text of a file; None when there is none.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise ConfigError(f"{path} is larger than {_MOST_BYTES:,} bytes", fix="is it the right file?")
        return data.decode()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8", fix="save it as UTF-8") from error


def chats_of(place: HermesPlace, config: Mapping[str, Any]) -> tuple[str, ...]:
    """The chats that are switched on, in its settings or by its variables."""
    found = {name for variable, name in _VARIABLES.items() if place.variables.get(variable, "").lower() not in _OFF}
    for way in (("platforms",), ("gateway", "platforms")):
        platforms = _mapping(config, way)
        found |= {str(name) for name, block in platforms.items() if isinstance(block, dict) and block.get("enabled")}
    return tuple(sorted(found - _NO_CHATS))


_OFF: Final = frozenset({"", "0", "false", "no", "off"})


def webhook_way(config: Mapping[str, Any]) -> Way:
    """Where the settings of its webhooks are: at the top, unless the user has them under `gateway`."""
    nested = ("gateway", "platforms", "webhook")
    return nested if _mapping(config, nested) and not _mapping(config, nested[1:]) else nested[1:]


def webhook_address(place: HermesPlace, config: Mapping[str, Any]) -> str:
    """Where its gateway takes webhooks, as this machine reaches it: `http://127.0.0.1:8644`."""
    extra = _mapping(config, (*webhook_way(config), "extra"))
    port = extra.get("port", DEFAULT_PORT)
    if place.variables.get("WEBHOOK_ENABLED", "").lower() in _TRUE:
        port = place.variables.get("WEBHOOK_PORT") or port
    host = str(extra.get("host") or "")
    if host in _EVERYWHERE:
        host = "127.0.0.1"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def has_package(environ: Mapping[str, str]) -> bool:
    """Whether the Python of the program `hermes` has the plugin as a package."""
    program = shutil.which("hermes", path=environ.get("PATH"))
    if program is None:
        return False
    try:
        with Path(program).resolve().open("rb") as file:
            first = file.readline(500).decode(errors="replace")
        if not first.startswith("#!/") or "python" not in first:
            return False
        done = subprocess.run(
            [*first[2:].split(), "-c", _PROBE], capture_output=True, timeout=_PROBE_SECONDS, check=False, cwd="/"
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.stdout.strip() not in {b"", b"0"}


def _variables(text: str) -> dict[str, str]:
    """The variables in a file of them, as far as we need them: no quotes within quotes."""
    pairs = (line.strip().removeprefix("export ").partition("=") for line in text.splitlines())
    return {
        name.strip(): value.strip().strip("\"'") for name, equals, value in pairs if equals and not name.startswith("#")
    }


def _mapping(data: Any, way: Way) -> dict[str, Any]:  # noqa: ANN401 - somebody else's settings
    for name in way:
        data = data.get(name) if isinstance(data, Mapping) else None
    return data if isinstance(data, dict) else {}
