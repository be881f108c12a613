"""The tools of an agent: found by name, described to the model, and their arguments checked."""

from collections.abc import Iterable

import msgspec

from kugetsu.errors import ToolError
from kugetsu.messages import ToolCall
from kugetsu.protocols import Tool, ToolSpec


class Toolbox:
    """An immutable set of tools, shared by all shadows that may use it."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self.specs: tuple[ToolSpec, ...] = tuple(_spec(tool) for tool in self._tools.values())

    def find(self, name: str) -> Tool | None:
        """The tool of this name, None when there is none."""
        return self._tools.get(name)

    def get(self, name: str) -> Tool:
        """The tool of this name.

        Raises:
            ToolError: there is none; the message lists those that exist.
        """
        tool = self._tools.get(name)
        if tool is None:
            raise ToolError(f"There is no tool {name!r}. The tools are: {', '.join(self._tools) or 'none'}.")
        return tool


def decode_arguments(tool: Tool, call: ToolCall) -> msgspec.Struct:
    """Check a call's arguments against the tool's schema. Numbers written as text are accepted.

    Raises:
        ToolError: they are no JSON or do not fit; the message says what is wrong and shows the schema.
    """
    try:
        return msgspec.json.decode(call.arguments, type=tool.arguments, strict=False)
    except msgspec.ValidationError as error:
        problem = f"The arguments of {tool.name} do not fit: {error}."
    except (msgspec.DecodeError, UnicodeError) as error:
        problem = f"The arguments of {tool.name} are no valid JSON: {error}."
    raise ToolError(f"{problem} Its schema: {_schema(tool).decode()}")


def _spec(tool: Tool) -> ToolSpec:
    return ToolSpec(tool.name, tool.description, msgspec.Raw(_schema(tool)))


def _schema(tool: Tool) -> bytes:
    """The arguments' JSON Schema in one piece: the struct's own definition with its references beside it."""
    (schema,), definitions = msgspec.json.schema_components([tool.arguments], ref_template="#/$defs/{name}")
    name = schema["$ref"].rpartition("/")[2]
    own = definitions.pop(name)
    return msgspec.json.encode(own | ({"$defs": definitions} if definitions else {}))
