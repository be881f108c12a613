"""From nested tables to settings, with errors that name the place, the field and what is expected there."""

import difflib
import json
import math
import re
from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias, get_args, get_origin

import msgspec

from kugetsu.config.fields import Field, dotted, is_struct, leaves, may_hold_secrets, member, members, table_in
from kugetsu.config.settings import Settings
from kugetsu.errors import ConfigError

Place: TypeAlias = Callable[[Field], str]
"""Says where a field was set: a file and its line, a variable, or the command line."""

_WORDS: Final[dict[Any, str]] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "a table",
    list: "a list",
}
_FIRST_NAME: Final = re.compile(r"^`(\w+)`")
_LONGEST_VALUE: Final = 60


def build(data: dict[str, Any], place: Place) -> Settings:
    """Make settings of nested tables; what is missing gets its default.

    Raises:
        ConfigError: a field is unknown, of the wrong type or out of range.
    """
    settings: Settings = _build(Settings, data, (), place)
    return settings


def convert(kind: Any, value: object, field: Field, place: Place, *, strict: bool = True) -> Any:  # noqa: ANN401 - any annotation and its value
    """Check one value; with `strict` false, text is read as what is expected.

    Raises:
        ConfigError: it is not what is expected; a secret is not repeated.
    """
    try:
        converted = msgspec.convert(value, kind, strict=strict)
    except (msgspec.ValidationError, OverflowError):
        converted = None
    if converted is None or (isinstance(converted, float) and not math.isfinite(converted)):
        raise ConfigError(f"{place(field)}: {dotted(field)}: expected {expected(kind)}, got {_shown(value, field)}")
    return converted


def expected(kind: Any) -> str:  # noqa: ANN401 - any annotation
    """What a setting takes, in words."""
    if is_struct(kind) or get_origin(kind) is dict:
        return "a table"
    if get_origin(kind) is Literal:
        return " or ".join(json.dumps(choice) for choice in get_args(kind))
    if table_in(kind):
        return "a list of tables"
    return "a list of texts" if get_origin(kind) is tuple else _WORDS[kind]


def _build(kind: Any, data: object, field: Field, place: Place) -> Any:  # noqa: ANN401 - any annotation and its value
    if row := table_in(kind):
        if not isinstance(data, (list, tuple)):
            raise ConfigError(f"{place(field)}: {dotted(field)}: expected a list of tables, got {_shown(data, field)}")
        return tuple(_build(row, entry, (*field, str(number)), place) for number, entry in enumerate(data, 1))
    if not (is_struct(kind) or get_origin(kind) is dict):
        return convert(kind, data, field, place)
    if not isinstance(data, dict):
        raise ConfigError(f"{place(field)}: {dotted(field)}: expected a table, got {_shown(data, field)}")
    entries: dict[str, Any] = {}
    for name, value in data.items():
        way = (*field, name)
        inside = member(kind, name)
        if inside is None:
            raise _unknown(kind, way, place(way))
        entries[name] = _build(inside, value, way, place)
    return _make(kind, entries, field, place) if is_struct(kind) else entries


def _make(kind: type[msgspec.Struct], entries: dict[str, Any], field: Field, place: Place) -> msgspec.Struct:
    """Make a struct, which checks ranges itself and says "`name` must be ..."."""
    if missing := [info.name for info in msgspec.structs.fields(kind) if info.required and info.name not in entries]:
        raise ConfigError(f"{place(field)}: {dotted(field)}: {' and '.join(missing)} must be set too")
    try:
        return kind(**entries)
    except ValueError as error:
        text = str(error)
        if named := _FIRST_NAME.match(text):
            field = (*field, named[1])
            text = text[named.end() :]
        raise ConfigError(f"{place(field)}: {dotted(field)}{text}") from error


def _unknown(kind: type[msgspec.Struct], field: Field, where: str) -> ConfigError:
    name = field[-1]
    meant = [leaf for leaf, _ in leaves(Settings) if leaf[-1] == name]
    meant = meant or [(*field[:-1], near) for near in difflib.get_close_matches(name, members(kind), n=1)]
    fix = " or ".join(f"`{dotted(way)}`" for way in meant)
    return ConfigError(
        f"{where}: unknown field {dotted(field)}",
        fix=f"did you mean {fix}?" if fix else f"known here: {', '.join(members(kind))}",
    )


def _shown(value: object, field: Field) -> str:
    """A value for an error message: plain ASCII, and by its kind alone where a key may stand, also by mistake."""
    if isinstance(value, (str, bool, int, float)) and not may_hold_secrets(field):
        text = json.dumps(value)
        return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."
    return _WORDS.get(type(value), f"a {type(value).__name__}")
