"""Settings from several places, one laid over the other."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from kugetsu.config.fields import Field, dotted, values
from kugetsu.config.presets import PRESETS
from kugetsu.config.settings import Settings
from kugetsu.config.toml import line_of, parse, read_text
from kugetsu.config.validation import build

DEFAULT: Final = "default"
BUILT_IN: Final = "built in"


@dataclass(frozen=True)
class Layer:
    """Settings from one place.

    Attributes:
        data: nested tables.
        origin: where they come from: a file, or the command line.
        text: the file's text, to find lines in.
        names: where single fields come from, if not from `origin`: the variables that set them.
    """

    data: dict[str, Any]
    origin: str
    text: str = ""
    names: Mapping[Field, str] = field(default_factory=dict)

    def origin_of(self, way: Field) -> str:
        """Where a field's value comes from, for people."""
        return self.names.get(way, self.origin)

    def place(self, way: Field) -> str:
        """Where a field stands, for error messages."""
        line = line_of(self.text, way)
        return f"{self.origin}:{line}" if line else self.origin_of(way)


def file_layer(path: Path) -> Layer | None:
    """Read a settings file; None when there is none.

    Raises:
        ConfigError: it cannot be read or is no TOML.
    """
    text = read_text(path)
    return None if text is None else Layer(parse(text, path), str(path), text)


class Stack:
    """Layers laid one over the other; valid after each.

    Attributes:
        settings: what is in force.
    """

    def __init__(self) -> None:
        self._data: dict[str, Any] = {}
        self._origins: dict[Field, str] = {}
        self.settings = Settings()

    def add(self, layer: Layer) -> None:
        """Lay settings over those that are there.

        Raises:
            ConfigError: a field is unknown, of the wrong type or out of range.
        """
        self._add_presets(layer)
        _overlay(self._data, layer.data)
        self.settings = build(self._data, layer.place)
        self._origins |= {way: layer.origin_of(way) for way, _ in values(layer.data)}

    @property
    def origins(self) -> dict[str, str]:
        """Where the value of each field in force comes from."""
        return {dotted(way): self._origins.get(way, DEFAULT) for way, _ in values(self.settings)}

    def origin_of(self, way: Field) -> str:
        """Where the value of one field comes from."""
        return self._origins.get(way, DEFAULT)

    def _add_presets(self, layer: Layer) -> None:
        """Put a built-in provider under what a layer says of it, so that one field can be changed alone."""
        named = layer.data.get("providers")
        known = self._data.setdefault("providers", {})
        for name, preset in PRESETS.items():
            if isinstance(named, dict) and name in named and name not in known:
                known[name] = msgspec.to_builtins(preset)
                self._origins |= {way: BUILT_IN for way, _ in values(known[name], ("providers", name))}


def _overlay(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    for name, value in above.items():
        inside = below.get(name)
        if isinstance(inside, dict) and isinstance(value, dict):
            _overlay(inside, value)
        else:
            below[name] = _copy(value)


def _copy(value: object) -> object:
    return {name: _copy(inside) for name, inside in value.items()} if isinstance(value, dict) else value
