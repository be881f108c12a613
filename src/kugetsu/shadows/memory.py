"""What the session of a task holds, for tools that show it again."""

from collections.abc import Sequence

from kugetsu.messages import Message, ToolResult
from kugetsu.protocols import Desk


class SessionMemory:
    """The session of one task. Implements `protocols.Memory`.

    Args:
        store: where it is kept.
        task: id of the task.
    """

    def __init__(self, store: Desk, task: str) -> None:
        self._store = store
        self._task = task

    async def result(self, call: str) -> ToolResult | None:
        """What a call gave; see `protocols.Memory`."""
        return await self._store.result(self._task, call)

    async def turn(self, number: int) -> Sequence[Message]:
        """A reply and the results of its calls; see `protocols.Memory`."""
        return await self._store.turn(self._task, number)
