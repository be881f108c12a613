"""The part of Kugetsu's settings that brings news to Hermes, in the user's own file; comments and order stay."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from kugetsu.config import load_settings, user_config_file
from kugetsu.errors import ConfigError

TARGET: Final = "hermes"
"""The name under `notify`."""

WITHOUT: Final = ""
"""No secret."""


class Known(msgspec.Struct, frozen=True):
    """What the settings say of Hermes so far.

    Attributes:
        secret: shared with it, empty for none.
        secret_env: name of the variable that holds it instead, empty for none.
    """

    secret: str = WITHOUT
    secret_env: str = ""


def settings_file(config_file: Path | None, environ: Mapping[str, str]) -> Path:
    """The user's settings file, as all commands find it; need not be there."""
    named = config_file or (Path(given) if (given := environ.get("KUGETSU_CONFIG")) else None)
    return named.expanduser().absolute() if named else user_config_file(environ)


def known(text: str | None, path: Path) -> Known:
    """What a settings file says of Hermes.

    Raises:
        ConfigError: it is no TOML, or `notify.hermes` is something else.
    """
    table = _document(text, path).get("notify", {}).get(TARGET, {})
    if not isinstance(table, Mapping):
        raise ConfigError(f"{path}: `notify.{TARGET}` is no table", fix="mend it, then run this again")
    if str(table.get("kind", "webhook")) != "webhook":
        raise ConfigError(
            f"{path}: `notify.{TARGET}` is there already, and brings its news another way",
            fix="give it another name, then run this again",
        )
    return Known(str(table.get("secret", WITHOUT)), str(table.get("secret_env", "")))


def with_target(text: str | None, path: Path, url: str, secret: str) -> str:
    """The file with `notify.hermes` as it has to be; other fields that the user gave it stay.

    Args:
        text: as it is; None when there is no file.
        path: where, for messages.
        url: with `{platform}` in it.
        secret: empty when a variable holds it.

    Raises:
        ConfigError: it cannot be changed, or would not be valid then.
    """
    import tomlkit  # noqa: PLC0415 - needed only here
    from tomlkit.exceptions import TOMLKitError  # noqa: PLC0415 - as above

    document = _document(text, path)
    try:
        if "notify" not in document:
            document["notify"] = tomlkit.table(is_super_table=True)
        targets = document["notify"]
        if TARGET not in targets:
            targets[TARGET] = tomlkit.table()
        target = targets[TARGET]
        for name, value in {"url": url, "secret": secret}.items():
            if value and str(target.get(name, "")) != value:
                target[name] = value
        changed = tomlkit.dumps(document)
    except (TOMLKitError, TypeError, ValueError, KeyError) as error:
        raise ConfigError(
            f"{path} is written in a way that cannot be changed safely: {error}",
            fix=f'add by hand: [notify.{TARGET}] with url = "{url}" and the `secret` of the routes in Hermes',
        ) from error
    _require_valid(changed)
    return changed


def _document(text: str | None, path: Path) -> Any:  # noqa: ANN401 - tomlkit's types are its own
    import tomlkit  # noqa: PLC0415 - needed only here
    from tomlkit.exceptions import TOMLKitError  # noqa: PLC0415 - as above

    try:
        return tomlkit.parse(text or "")
    except (TOMLKitError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is no TOML: {error}", fix="mend it, then run this again") from error


def _require_valid(text: str) -> None:
    """Look whether the settings can be loaded so.

    Raises:
        ConfigError: they cannot.
    """
    with tempfile.TemporaryDirectory(prefix="kugetsu-setup-") as directory:
        file = Path(directory) / "kugetsu.toml"
        file.touch(0o600)
        file.write_text(text)
        load_settings(environ={}, config_file=file)
