"""JSON Schemas of what tools take and give."""

from typing import Any

import msgspec


def schema_of(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """A struct's JSON Schema in one piece: its own definition with its references beside it."""
    (schema,), definitions = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    own: dict[str, Any] = definitions.pop(schema["$ref"].rpartition("/")[2])
    for definition in (own, *definitions.values()):
        _shorten(definition)
    return own | ({"$defs": definitions} if definitions else {})


def _shorten(definition: dict[str, Any]) -> None:
    """Leave out what says nothing to others, and costs every model tokens: our names, notes for us, empty defaults."""
    definition.pop("title", None)
    definition["description"] = definition.get("description", "").partition("\n")[0]
    for field in definition.get("properties", {}).values():
        if not field.get("default", True):
            del field["default"]
