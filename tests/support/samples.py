"""One instance of any event, made from its type hints."""

from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

T = TypeVar("T")


def sample(kind: type[T]) -> T:
    hints = get_type_hints(kind)
    names = msgspec.structs.fields(kind)  # type: ignore[arg-type]  # every kind here is a struct
    return kind(**{field.name: _value(hints[field.name]) for field in names})


def _value(hint: Any) -> Any:
    plain = {str: "a 'quoted' \u2028 line\n", int: 3, float: 1.5, bool: True}
    if hint in plain:
        return plain[hint]
    if get_origin(hint) is tuple:
        return (_value(get_args(hint)[0]),)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return sample(hint)
    first = get_args(hint)[0]
    return _value(first) if get_origin(first) or isinstance(first, type) else first
