"""Requests as bytes: encoded once where they stay the same, and always valid."""

import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec

from kugetsu.messages import encode_json
from kugetsu.protocols import ToolSpec

JsonObject: TypeAlias = dict[str, Any]
"""A part of a request in a provider's shape."""

_NAME_LENGTH: Final = 64
_NO_NAME: Final = re.compile(r"[^a-zA-Z0-9_-]")
_TUPLES_KEPT: Final = 64

_any_object: Final = msgspec.json.Decoder(JsonObject)


class EncodedTools:
    """The tools of requests in a provider's shape; each tuple of tools is encoded once.

    Args:
        shape: turns tools into what is encoded.
    """

    def __init__(self, shape: Callable[[tuple[ToolSpec, ...]], list[JsonObject]]) -> None:
        self._shape = shape
        # By identity, which holding the tuple keeps unique.
        self._known: dict[int, tuple[tuple[ToolSpec, ...], msgspec.Raw]] = {}

    def of(self, tools: tuple[ToolSpec, ...]) -> msgspec.Raw:
        """The encoded list of these tools."""
        known = self._known.get(id(tools))
        if known is None:
            if len(self._known) >= _TUPLES_KEPT:
                self._known.clear()
            known = self._known[id(tools)] = tools, msgspec.Raw(encode_json(self._shape(tools)))
        return known[1]


def is_object(text: str) -> bool:
    """Whether a text is JSON of an object."""
    try:
        _any_object.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False
    return True


def arguments_object(arguments: str) -> str:
    """The arguments of a past call as JSON text of an object, whatever the model wrote.

    Servers parse them again, and refuse the whole conversation when they cannot.
    """
    return arguments if is_object(arguments) else encode_json({"invalid_arguments": arguments}).decode()


def tool_name(name: str) -> str:
    """A name that servers accept, for a past call of a tool that may not exist."""
    return _NO_NAME.sub("_", name)[:_NAME_LENGTH] or "unknown"
