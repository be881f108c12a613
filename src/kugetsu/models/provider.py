"""The provider of a model: found by name, its key looked up, everything about it checked before the first call."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec

from kugetsu.config import PRESETS, ProviderSettings
from kugetsu.errors import ConfigError, MissingKeyError

_KEY: Final = re.compile(r"[!-~]*")
_SECRET_HEADER: Final = re.compile(r"auth|key|token|secret|cookie|password", re.IGNORECASE)

_LIKE_THIS: Final = "write it like https://host/v1"


class Provider(msgspec.Struct, frozen=True):
    """A provider that is ready to be called.

    Attributes:
        name: as in the settings.
        settings: the built-in ones and the user's own, joined.
        key: empty when it needs none.
        key_source: where the key comes from, in words; empty when there is none.
    """

    name: str
    settings: ProviderSettings
    key: str = ""
    key_source: str = ""

    def __repr__(self) -> str:
        """Never shows the key."""
        return f"Provider(name={self.name!r})"

    @property
    def base_url(self) -> str:
        """Without a slash at its end."""
        return self.settings.base_url.strip().rstrip("/")

    @property
    def secrets(self) -> list[str]:
        """What must never be shown: the key, and values of headers that look like one."""
        values = [value for name, value in self.settings.headers.items() if _SECRET_HEADER.search(name)]
        return [self.key, *values, *(word for value in values for word in value.split())]


def find_provider(name: str, providers: Mapping[str, ProviderSettings], environ: Mapping[str, str]) -> Provider:
    """Find a provider and check that it can be called.

    Args:
        name: as in the settings, or of a built-in one.
        providers: the user's own, or over the built-in ones field by field.
        environ: where keys are.

    Raises:
        ConfigError: there is no such provider, its key is missing, or its settings cannot work. Never shows a key.
    """
    settings = _joined(name, providers)
    _check_url(name, settings.base_url.strip())
    key, source = _key(name, settings, environ)
    if not _KEY.fullmatch(key):
        raise ConfigError(f"the key in {source} holds characters that no key has", fix="copy it again, without quotes")
    return Provider(name, settings, key, source if key else "")


def _joined(name: str, providers: Mapping[str, ProviderSettings]) -> ProviderSettings:
    """The built-in settings with those over them that the user gave; a field left at its default was not given."""
    given, preset = providers.get(name), PRESETS.get(name)
    if given is None or preset is None:
        if found := given or preset:
            return found
        known = ", ".join(sorted({*PRESETS, *providers}))
        raise ConfigError(f"unknown provider {name!r}", fix=f"known are {known}; others go into `providers.{name}`")
    default = ProviderSettings()
    changes = {
        field: getattr(given, field)
        for field in given.__struct_fields__
        if getattr(given, field) != getattr(default, field)
    }
    return msgspec.structs.replace(preset, **changes)


def _check_url(name: str, url: str) -> None:
    field = f"`providers.{name}.base_url`"
    if not url:
        raise ConfigError(f"{field} is empty", fix="set it to everything before /chat/completions or /v1/messages")
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise ConfigError(f"{field} is no URL: {error}", fix=_LIKE_THIS) from None
    if parts.username is not None or parts.query or parts.fragment:
        # Not shown: it may well hold a key.
        raise ConfigError(f"{field} holds more than an address", fix="put a key into api_key_env or headers")
    if not valid or not url.isprintable() or " " in url:
        raise ConfigError(f"{field} is no URL of a server: {url!r}", fix=_LIKE_THIS)


def _key(name: str, settings: ProviderSettings, environ: Mapping[str, str]) -> tuple[str, str]:
    """The key and where it comes from."""
    if key := settings.api_key.strip():
        return key, f"`providers.{name}.api_key`"
    variable = settings.api_key_env
    if not variable:
        return "", ""
    key = environ.get(variable, "").strip()
    if not key:
        raise MissingKeyError(f"no key for {name}: the variable {variable} is not set", fix=f"export {variable}=...")
    return key, variable
