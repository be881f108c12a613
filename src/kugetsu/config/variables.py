"""Settings from `KUGETSU_*` variables. Their names are derived from the structs: `limits.turns`, `KUGETSU_LIMITS_TURNS`."""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, get_origin

from kugetsu.config.fields import Field, dotted, leaves, members
from kugetsu.config.layers import Layer
from kugetsu.config.settings import ProviderSettings, Settings
from kugetsu.config.validation import convert
from kugetsu.errors import ConfigError

PREFIX: Final = "KUGETSU_"

OTHERS: Final = frozenset(
    {"KUGETSU_HOME", "KUGETSU_CONFIG", "KUGETSU_TASK", "KUGETSU_CALL", "KUGETSU_SERVER", "KUGETSU_TOKEN"}
)
"""Variables of the house that are no settings: two directories, two marks of the processes it starts, and which server
the command line talks to, with which token."""

_PROVIDERS: Final = f"{PREFIX}PROVIDERS_"
_PLAIN: Final = re.compile(r"[A-Za-z0-9_]+")


def variable_layer(environ: Mapping[str, str], providers: Iterable[str]) -> tuple[Layer, list[str]]:
    """Read the variables that set something.

    Args:
        environ: all variables.
        providers: names of known providers, so that `KUGETSU_PROVIDERS_MY_LAB_WIRE` finds `my-lab`.

    Returns:
        The settings, and a notice for each variable that looks like one but is none.

    Raises:
        ConfigError: a value is not what its field takes.
    """
    known = _names()
    spelled = {_spell((name,)): name for name in providers}
    data: dict[str, Any] = {}
    names: dict[Field, str] = {}
    notices = []
    for name in sorted(name for name in environ if name.startswith(PREFIX) and name not in OTHERS):
        found = known.get(name) or _provider_field(name, spelled)
        if found is None:
            notices.append(_notice(name, known))
            continue
        way, kind = found
        _put(data, way, _value(environ[name], kind, way, name))
        names[way] = name
    return Layer(data, "environment", names=names), notices


def _names() -> dict[str, tuple[Field, Any]]:
    return {PREFIX + _spell(way): (way, kind) for way, kind in leaves(Settings)}


def _spell(way: Field) -> str:
    return re.sub(r"[^A-Z0-9]", "_", "_".join(way).upper())


def _provider_field(name: str, spelled: Mapping[str, str]) -> tuple[Field, Any] | None:
    """The field of a provider that a variable names; the provider's name is what stands before the field's."""
    if not name.startswith(_PROVIDERS):
        return None
    for last, kind in members(ProviderSettings).items():
        provider = name.removeprefix(_PROVIDERS).removesuffix(f"_{last.upper()}")
        if get_origin(kind) is not dict and provider and f"{_PROVIDERS}{provider}_{last.upper()}" == name:
            return ("providers", spelled.get(provider, provider.lower()), last), kind
    return None


def _value(text: str, kind: Any, way: Field, name: str) -> object:  # noqa: ANN401 - any annotation
    if not text.isascii() and text.encode("utf-8", "replace").decode("utf-8") != text:
        raise ConfigError(f"{name}: {dotted(way)}: holds bytes that are not UTF-8")
    if get_origin(kind) is tuple:
        return [part.strip() for part in text.split(",") if part.strip()]
    return convert(kind, text, way, lambda _: name, strict=False)


def _put(data: dict[str, Any], way: Field, value: object) -> None:
    for name in way[:-1]:
        data = data.setdefault(name, {})
    data[way[-1]] = value


def _notice(name: str, known: Iterable[str]) -> str:
    shown = name if _PLAIN.fullmatch(name) else ascii(name)
    if name.startswith(_PROVIDERS):
        fields = ", ".join(
            last.upper() for last, kind in members(ProviderSettings).items() if get_origin(kind) is not dict
        )
        return f"{shown} is left out: after KUGETSU_PROVIDERS_<NAME>_ comes one of {fields}; the rest belongs in a file"
    near = difflib.get_close_matches(name, [*known, *OTHERS], n=1)
    return f"{shown} is left out: it is no setting" + (f"; did you mean {near[0]}?" if near else "")
