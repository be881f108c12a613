"""Signs that an agent goes round in circles: equal calls with equal results, and turns that change nothing."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from kugetsu.messages import ToolCall, ToolResult

_MOST_REMEMBERED: Final = 1_000
"""Different calls that are remembered between two changes of the worktree."""


@dataclass
class Circling:
    """Counts since the worktree last changed, or something new was tried. Equal calls of one turn count once.

    Attributes:
        turns: closed turns in a row that left the worktree as it was.
        most: in how many turns that call of the last turn was made that was made most often, always with the same result.
        name: the tool of that call.
    """

    turns: int = 0
    most: int = 0
    name: str = ""
    _seen: dict[int, int] = field(default_factory=dict)

    def close(self, calls: Iterable[tuple[ToolCall, ToolResult]], *, changed: bool) -> None:
        """A turn was closed.

        Args:
            calls: with their results.
            changed: whether the worktree is another one than after the turn before.
        """
        pairs = {hash((call.name, call.arguments, result.text, result.is_error)): call.name for call, result in calls}
        if changed or len(self._seen) > _MOST_REMEMBERED:
            self._seen.clear()
        elif any(sign not in self._seen for sign in pairs):
            self._seen = dict.fromkeys(self._seen, 0)  # whoever does something new gets on
        self.turns = 0 if changed else self.turns + 1
        self.most, self.name = 0, ""
        for sign, name in pairs.items():
            self._seen[sign] = times = self._seen.get(sign, 0) + 1
            if times > self.most:
                self.most, self.name = times, name
