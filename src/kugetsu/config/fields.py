"""The fields of the settings by name, derived from the structs: what files, variables and messages call them."""

import json
import re
import types
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias, Union, get_args, get_origin

import msgspec

Field: TypeAlias = tuple[str, ...]
"""The way to a setting, from the top: `("limits", "turns")`."""

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_SECRET: Final[Mapping[str, frozenset[str]]] = {
    "providers": frozenset({"api_key", "headers"}),
    "webhooks": frozenset({"secret"}),
    "notify": frozenset({"secret"}),
}


def dotted(field: Field) -> str:
    """The field as TOML writes it: `providers.local.models."qwen3:8b".images`. Plain ASCII, whatever the names hold."""
    return ".".join(part if _BARE.fullmatch(part) else json.dumps(part) for part in field)


def is_secret(field: Field) -> bool:
    """Whether the value must never be shown: a provider's key or one of its headers, or what a webhook is signed with."""
    return bool(field) and bool(_SECRET.get(field[0], frozenset()).intersection(field[2:3]))


def may_hold_secrets(field: Field) -> bool:
    """Whether a secret may stand there, also by mistake."""
    return field[:1] != () and field[0] in _SECRET


def table_in(kind: Any) -> type[msgspec.Struct] | None:  # noqa: ANN401 - any annotation
    """What each entry of a list of tables is; None for everything else."""
    arguments = get_args(kind)
    return arguments[0] if get_origin(kind) is tuple and arguments and is_struct(arguments[0]) else None


def inner(kind: Any) -> Any:  # noqa: ANN401 - any annotation
    """The annotation without `| None`."""
    if get_origin(kind) in {Union, types.UnionType}:
        kinds = [choice for choice in get_args(kind) if choice is not types.NoneType]
        return kinds[0] if len(kinds) == 1 else kind
    return kind


def is_struct(kind: object) -> bool:
    """Whether values of this annotation are tables with fixed names."""
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def members(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """A struct's fields, by name, with their annotations."""
    return {field.name: inner(field.type) for field in msgspec.structs.fields(struct)}


def member(kind: Any, name: str) -> Any:  # noqa: ANN401 - any annotation
    """The annotation of one entry of a table; None when it has no such entry."""
    if is_struct(kind):
        return members(kind).get(name)
    return inner(get_args(kind)[1]) if get_origin(kind) is dict else None


def leaves(struct: type[msgspec.Struct], prefix: Field = ()) -> Iterator[tuple[Field, Any]]:
    """All settings with a fixed name, in the order of the structs, with their annotations; free tables are left out."""
    for name, kind in members(struct).items():
        if is_struct(kind):
            yield from leaves(kind, (*prefix, name))
        elif get_origin(kind) is not dict:
            yield (*prefix, name), kind


def values(data: object, prefix: Field = ()) -> Iterator[tuple[Field, Any]]:
    """All values of nested tables or structs, with the way to each."""
    if isinstance(data, msgspec.Struct):
        data = {name: getattr(data, name) for name in data.__struct_fields__}
    if not isinstance(data, Mapping):
        yield prefix, data
        return
    for name, value in data.items():
        yield from values(value, (*prefix, name))
