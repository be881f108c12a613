"""A tool made of a function."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from kugetsu.protocols import ToolContext, ToolKind, ToolOutput


class FunctionTool:
    """Runs a function as a tool. Implements `protocols.Tool`.

    Args:
        name: as the model calls it.
        arguments: struct of its arguments.
        function: what it does; takes the decoded arguments and the context.
        kind: what it claims to do to the workspace.
        description: what the model reads about it.
    """

    def __init__(
        self,
        name: str,
        arguments: type[msgspec.Struct],
        function: Callable[[Any, ToolContext], Awaitable[ToolOutput]],
        *,
        kind: ToolKind = "read",
        description: str = "A tool for tests.",
    ) -> None:
        self.name = name
        self.arguments = arguments
        self.kind: ToolKind = kind
        self.description = description
        self._function = function

    async def run(self, arguments: Any, context: ToolContext) -> ToolOutput:  # noqa: ANN401 - see `protocols.Tool`
        """Run the function."""
        return await self._function(arguments, context)
